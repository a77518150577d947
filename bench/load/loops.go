package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
	// How long a system may take to start.
	readyLimit = 60 * time.Second
	readyPause = 2 * time.Millisecond
)

// untilReady asks until it is answered with what was asked for.
func (l *load) untilReady() (*report, error) {
	var window tally
	var last error
	refused := 0
	waitForGo()
	begun := time.Now()
	for time.Since(begun) < readyLimit {
		got, err := l.askOnce(0, l.Targets[0])
		if err == nil {
			window.add(got, time.Since(begun))
			made := reportOf(nil, []tally{window}, time.Since(begun))
			made.Refused = refused
			return made, nil
		}
		if _, answered := errors.AsType[*refusal](err); answered {
			refused++
		}
		last = err
		time.Sleep(readyPause)
	}
	return nil, fmt.Errorf("not ready after %s: %w", readyLimit, last)
}

// askOnce opens a connection for one request.
func (l *load) askOnce(who int, target string) (answer, error) {
	c, err := l.open(who, smallBuffer)
	if err != nil {
		return answer{}, err
	}
	defer c.close()
	return c.ask(who, target)
}

// closedLoop keeps Concurrency requests under way over Connections connections.
func (l *load) closedLoop() (*report, error) {
	connections, err := l.openAll(smallBuffer)
	if err != nil {
		return nil, err
	}
	share := func(worker int) []*connection {
		var own []*connection
		for i := worker; i < len(connections); i += l.Concurrency {
			own = append(own, connections[i])
		}
		return own
	}
	warmup := each(l.Concurrency, func(worker int, t *tally) {
		l.loop(share(worker), worker, t, func(done int) bool { return done < l.Warmup/l.Concurrency })
	})
	waitForGo()
	begun := time.Now()
	window := each(l.Concurrency, func(worker int, t *tally) {
		if l.Once {
			l.once(share(worker), t)
			return
		}
		end := begun.Add(time.Duration(l.Seconds * float64(time.Second)))
		l.loop(share(worker), worker, t, func(int) bool { return time.Now().Before(end) })
	})
	made := reportOf(warmup, window, time.Since(begun))
	made.Cipher = connections[0].cipher()
	closeAll(connections)
	return made, nil
}

// loop asks at random, the same for every system in a round: a fixed order would flatter or defeat
// a cache, and so would the same one in every round.
func (l *load) loop(own []*connection, worker int, t *tally, more func(done int) bool) {
	random := rand.New(rand.NewPCG(uint64(worker), l.Seed))
	for done := 0; more(done) && len(own) > 0; done++ {
		c := own[random.IntN(len(own))]
		who := c.who
		if l.RotateTokens {
			who = random.IntN(len(l.Identities))
		}
		if !l.one(c, who, l.Targets[random.IntN(len(l.Targets))], t) {
			return
		}
	}
}

// once asks for every target on every connection, target by target.
func (l *load) once(own []*connection, t *tally) {
	for _, target := range l.Targets {
		for _, c := range own {
			if !l.onceEach(c, target, t) {
				return
			}
		}
	}
}

// onceEach asks for a target on a connection, once as everybody that it speaks for.
func (l *load) onceEach(c *connection, target string, t *tally) bool {
	if !l.RotateTokens {
		return l.one(c, c.who, target, t)
	}
	for who := range l.Identities {
		if !l.one(c, who, target, t) {
			return false
		}
	}
	return true
}

// one asks once; a connection on which something went wrong is not used again.
func (l *load) one(c *connection, who int, target string, t *tally) bool {
	begun := time.Now()
	got, err := c.ask(who, target)
	if err != nil {
		t.fail(err)
		return false
	}
	t.add(got, time.Since(begun))
	return true
}

// newConnections opens a connection for every request.
func (l *load) newConnections() (*report, error) {
	waitForGo()
	begun := time.Now()
	end := begun.Add(time.Duration(l.Seconds * float64(time.Second)))
	window := each(l.Concurrency, func(worker int, t *tally) {
		for who := worker; time.Now().Before(end); who += l.Concurrency {
			started := time.Now()
			got, err := l.askOnce(who%len(l.Identities), l.Targets[who%len(l.Targets)])
			if err != nil {
				t.fail(err)
				return
			}
			t.add(got, time.Since(started))
		}
	})
	return reportOf(nil, window, time.Since(begun)), nil
}

// bodies moves Count large bodies, one after the other, on one connection.
func (l *load) bodies() (*report, error) {
	c, err := l.open(0, largeBuffer)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var warmup, window tally
	for range l.Warmup {
		l.body(c, &warmup)
	}
	waitForGo()
	begun := time.Now()
	for range l.Count {
		l.body(c, &window)
	}
	made := reportOf([]tally{warmup}, []tally{window}, time.Since(begun))
	made.Cipher = c.cipher()
	return made, nil
}

func (l *load) body(c *connection, t *tally) {
	if t.failures > 0 {
		return
	}
	begun := time.Now()
	var got answer
	var err error
	if l.UploadBytes > 0 {
		got, err = c.upload(0, l.Targets[0], l.UploadBytes)
		got.bytes = int64(l.UploadBytes)
	} else {
		got, err = c.ask(0, l.Targets[0])
	}
	if err != nil {
		t.fail(err)
		return
	}
	t.add(got, time.Since(begun))
}

func (l *load) openAll(buffer int) ([]*connection, error) {
	var opened []*connection
	for i := range l.Connections {
		c, err := l.open(i%len(l.Identities), buffer)
		if err != nil {
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		opened = append(opened, c)
	}
	return opened, nil
}

func closeAll(connections []*connection) {
	for _, c := range connections {
		c.close()
	}
}
