package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const eventPause = 200 * time.Millisecond

var versionKey = []byte(`"resourceVersion":"`)

// watches opens Connections watches, and has Count events sent to all of them.
func (l *load) watches() (*report, error) {
	var opening tally
	connections, err := l.openAll(smallBuffer)
	if err != nil {
		return nil, err
	}
	for i, c := range connections {
		if err := c.watch(l.Targets[i%len(l.Targets)], &opening); err != nil {
			return nil, fmt.Errorf("watch %d: %w", i, err)
		}
	}
	delays := make(chan time.Duration, len(connections))
	broken := make(chan error, len(connections))
	for _, c := range connections {
		go func() { broken <- c.events(delays) }()
	}
	waitForGo()
	begun := time.Now()
	window, last, err := l.tell(delays, broken)
	if err != nil {
		return nil, err
	}
	made := reportOf([]tally{opening}, []tally{window}, time.Since(begun))
	made.AllAnswers = opening.answers // An event is no answer.
	made.EventLast = last
	made.Cipher = connections[0].cipher()
	waitForGo()
	closeAll(connections)
	return made, nil
}

// watch asks for a watch and reads the head of the answer.
func (c *connection) watch(target string, t *tally) error {
	c.head("GET", c.who, target, -1)
	if _, err := c.raw.Write(c.request); err != nil {
		return err
	}
	got, err := c.readHead()
	if err != nil {
		return err
	}
	if got.status != http.StatusOK || !got.chunked {
		return fmt.Errorf("%s was answered with %d", target, got.status)
	}
	t.answers++
	t.know(got)
	return nil
}

// events reads events for ever, and tells how old each was.
func (c *connection) events(delays chan<- time.Duration) error {
	event := make([]byte, 4<<10)
	for {
		size, err := c.chunkSize()
		if err != nil {
			return err
		}
		if size == 0 || size > int64(len(event)) {
			return errors.New("the watch ended, or an event is too long")
		}
		if _, err := io.ReadFull(c.reader, event[:size]); err != nil {
			return err
		}
		now := time.Now()
		if _, err := c.line(); err != nil {
			return err
		}
		sent, err := sentAt(event[:size])
		if err != nil {
			return err
		}
		delays <- now.Sub(sent)
	}
}

// sentAt reads when the upstream began to tell of an event.
func sentAt(event []byte) (time.Time, error) {
	_, rest, found := bytes.Cut(event, versionKey)
	if !found {
		return time.Time{}, fmt.Errorf("not a whole event: %s", event)
	}
	digits, _, _ := bytes.Cut(rest, []byte(`"`))
	nanos, err := strconv.ParseInt(string(digits), 10, 64)
	return time.Unix(0, nanos), err
}

// tell has Count events sent; it returns all delays, and of each event that of the last watch.
func (l *load) tell(delays <-chan time.Duration, broken <-chan error) (tally, []float64, error) {
	var window tally
	var last []float64
	for range l.Count {
		if err := l.trigger(); err != nil {
			return window, last, err
		}
		var longest time.Duration
		for range l.Connections {
			select {
			case delay := <-delays:
				longest = max(longest, delay)
				window.latencies = append(window.latencies, delay)
				window.answers++
			case err := <-broken:
				return window, last, fmt.Errorf("a watch broke: %w", err)
			case <-time.After(20 * time.Second):
				return window, last, errors.New("an event did not reach every watch in 20 s")
			}
		}
		last = append(last, micros(longest))
		time.Sleep(eventPause)
	}
	return window, last, nil
}

func (l *load) trigger() error {
	answered, err := http.Post("http://"+l.Control+"/event", "text/plain", nil)
	if err != nil {
		return err
	}
	defer answered.Body.Close()
	told, err := io.ReadAll(answered.Body)
	if err != nil {
		return err
	}
	if number := string(bytes.TrimSpace(told)); number != strconv.Itoa(l.Connections) {
		return fmt.Errorf("the upstream told %s watches, not %d", number, l.Connections)
	}
	return nil
}
