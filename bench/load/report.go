package main

import (
	"hash/crc32"
	"slices"
	"strconv"
	"sync"
	"time"
)

const keptErrors = 5

// report is what came of a plan. Times are of the window; the sums are of everything asked.
type report struct {
	Answers   int        `json:"answers"`
	Failures  int        `json:"failures"`
	Refused   int        `json:"refused"`
	Errors    []string   `json:"errors"`
	Seconds   float64    `json:"seconds"`
	Bytes     int64      `json:"bytes"`
	Latency   *quantiles `json:"latency,omitempty"`
	EventLast []float64  `json:"event_last_us,omitempty"`
	Cipher    string     `json:"cipher"`

	AllAnswers int    `json:"all_answers"`
	AllIDs     int    `json:"all_audit_ids"`
	AuditSum   string `json:"audit_sum"`
}

// quantiles are in microseconds.
type quantiles struct {
	P50  float64 `json:"p50_us"`
	P90  float64 `json:"p90_us"`
	P99  float64 `json:"p99_us"`
	Max  float64 `json:"max_us"`
	Mean float64 `json:"mean_us"`
}

// tally is one worker's part of a report.
type tally struct {
	answers, failures, ids int
	bytes                  int64
	sum                    uint64
	latencies              []time.Duration
	errors                 []string
}

func (t *tally) add(got answer, took time.Duration) {
	t.answers++
	t.bytes += got.bytes
	t.latencies = append(t.latencies, took)
	t.know(got)
}

// know counts an answer's audit id for the comparison with the upstream and the decision log.
func (t *tally) know(got answer) {
	if got.auditID == "" {
		return
	}
	t.sum += uint64(crc32.ChecksumIEEE([]byte(got.auditID)))
	t.ids++
}

func (t *tally) fail(err error) {
	t.failures++
	if len(t.errors) < keptErrors {
		t.errors = append(t.errors, err.Error())
	}
}

// each runs workers to their end and returns their tallies.
func each(workers int, work func(worker int, t *tally)) []tally {
	tallies := make([]tally, workers)
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() { work(worker, &tallies[worker]) })
	}
	group.Wait()
	return tallies
}

// reportOf sums a warm-up and a window up.
func reportOf(warmup, window []tally, took time.Duration) *report {
	made := &report{Seconds: took.Seconds(), Errors: []string{}}
	var sum uint64
	var latencies []time.Duration
	for _, t := range slices.Concat(warmup, window) {
		sum += t.sum
		made.AllAnswers += t.answers
		made.AllIDs += t.ids
		made.Failures += t.failures
		made.Errors = append(made.Errors, t.errors...)
	}
	for _, t := range window {
		made.Answers += t.answers
		made.Bytes += t.bytes
		latencies = append(latencies, t.latencies...)
	}
	made.AuditSum = strconv.FormatUint(sum, 10)
	made.Errors = made.Errors[:min(len(made.Errors), keptErrors)]
	made.Latency = quantilesOf(latencies)
	return made
}

func quantilesOf(times []time.Duration) *quantiles {
	if len(times) == 0 {
		return nil
	}
	slices.Sort(times)
	var total time.Duration
	for _, each := range times {
		total += each
	}
	at := func(part float64) float64 { return micros(times[int(part*float64(len(times)-1)+0.5)]) }
	return &quantiles{
		P50: at(0.50), P90: at(0.90), P99: at(0.99), Max: at(1),
		Mean: micros(total) / float64(len(times)),
	}
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
