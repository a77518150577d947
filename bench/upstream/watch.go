package main

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// watcher is one open watch. Its answer is written to by tellAll alone while serve waits.
type watcher struct {
	answer  http.ResponseWriter
	control *http.ResponseController
}

// watchers are told of an event one after the other, as a kube-apiserver on one core would.
type watchers struct {
	mutex sync.Mutex
	open  map[*watcher]struct{}
}

// serve holds a watch open until its client goes.
func (w *watchers) serve(answer http.ResponseWriter, request *http.Request) {
	each := &watcher{answer: answer, control: http.NewResponseController(answer)}
	if each.control.Flush() != nil {
		return
	}
	w.mutex.Lock()
	w.open[each] = struct{}{}
	w.mutex.Unlock()
	<-request.Context().Done()
	w.mutex.Lock()
	delete(w.open, each)
	w.mutex.Unlock()
}

// tellAll sends one event to every watch and returns how many there were. The event says when it
// was begun, for the loader on the same clock.
func (w *watchers) tellAll() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	event := fmt.Appendf(nil, `{"type":"MODIFIED","object":{"kind":"ConfigMap","apiVersion":"v1",`+
		`"metadata":{"name":"watched","resourceVersion":"%d"},"data":{"padding":"%0256d"}}}`+"\n",
		time.Now().UnixNano(), 0)
	for each := range w.open {
		_, _ = each.answer.Write(event)
		_ = each.control.Flush()
	}
	return len(w.open)
}

func (w *watchers) count() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return len(w.open)
}
