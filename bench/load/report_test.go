package main

import (
	"testing"
	"time"
)

func TestQuantilesAreOfTheSortedTimes(t *testing.T) {
	var times []time.Duration
	for i := 1000; i >= 0; i-- {
		times = append(times, time.Duration(i)*time.Microsecond)
	}
	got := *quantilesOf(times)
	want := quantiles{P50: 500, P90: 900, P99: 990, Max: 1000, Mean: 500}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestNoTimesHaveNoQuantiles(t *testing.T) {
	if got := quantilesOf(nil); got != nil {
		t.Errorf("got %+v", got)
	}
}

func TestOneTimeIsEveryQuantile(t *testing.T) {
	got := *quantilesOf([]time.Duration{1500})
	if want := (quantiles{P50: 1.5, P90: 1.5, P99: 1.5, Max: 1.5, Mean: 1.5}); got != want {
		t.Errorf("got %+v", got)
	}
}

func TestTheWarmUpIsAccountedForAndNotMeasured(t *testing.T) {
	var warmup, window tally
	warmup.add(answer{auditID: "a", bytes: 5}, time.Millisecond)
	window.add(answer{auditID: "b", bytes: 7}, time.Microsecond)
	window.fail(errHead)

	got := reportOf([]tally{warmup}, []tally{window}, time.Second)

	if got.Answers != 1 || got.AllAnswers != 2 || got.AllIDs != 2 || got.Failures != 1 {
		t.Errorf("got %+v", got)
	}
	if got.Bytes != 7 || got.Latency.Max != 1 || got.Seconds != 1 {
		t.Errorf("got %+v, %+v", got, got.Latency)
	}
	// CRC-32 of "a" and of "b", as zlib has them.
	if got.AuditSum != "5812694588" {
		t.Errorf("the sum is %s", got.AuditSum)
	}
}
