package nodelet

import (
	"io"
	"slices"
	"sync"
)

// stream names one of a process's outputs, as the log format does.
type stream string

const (
	stdout stream = "stdout"
	stderr stream = "stderr"
)

// listenerChunks is how far a listener may fall behind before the process waits for it, as it would for
// a slow terminal.
const listenerChunks = 64

type chunk struct {
	stream stream
	data   []byte
}

// output takes what a container writes, into its log and to those attached.
type output struct {
	log       *logFile
	mu        sync.Mutex
	listeners map[*listener]struct{}
}

// listener is one attached client.
type listener struct {
	chunks chan chunk
	left   chan struct{}
}

func newOutput(log *logFile) *output {
	return &output{log: log, listeners: map[*listener]struct{}{}}
}

// copyFrom takes one stream until it ends, whatever becomes of log and listeners.
func (o *output) copyFrom(s stream, r io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			o.write(chunk{s, slices.Clone(buffer[:n])})
		}
		if err != nil {
			o.mu.Lock()
			o.log.end(s)
			o.mu.Unlock()
			return
		}
	}
}

func (o *output) write(c chunk) {
	o.mu.Lock()
	o.log.write(c.stream, c.data)
	listeners := make([]*listener, 0, len(o.listeners))
	for l := range o.listeners {
		listeners = append(listeners, l)
	}
	o.mu.Unlock()
	for _, l := range listeners {
		select {
		case l.chunks <- c:
		case <-l.left:
		}
	}
}

// listen gives what is written from now on; end it with leave.
func (o *output) listen() *listener {
	l := &listener{chunks: make(chan chunk, listenerChunks), left: make(chan struct{})}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.listeners[l] = struct{}{}
	return l
}

func (o *output) leave(l *listener) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.listeners, l)
	close(l.left)
}
