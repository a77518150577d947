package nodelet

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"k8s.io/apiserver/pkg/util/flushwriter"
	internalapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	crilogs "k8s.io/cri-client/pkg/logs"
)

func (ps *pods) serveLogs(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	c, err := ps.container(podName(r), r.PathValue("container"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	options, err := logOptions(query, time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if c.output == nil || isTrue(query.Get("previous")) {
		http.Error(w, fmt.Sprintf("there is no such log of container %s", c.id), http.StatusBadRequest)
		return
	}
	out := flushwriter.Wrap(w)
	toStdout, toStderr := logStreams(query.Get("stream"), out)
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	err = crilogs.ReadLogs(r.Context(), c.logPath, c.id, options, containerState{c: c}, toStdout, toStderr)
	if err != nil && r.Context().Err() == nil {
		warn("cannot read the log of "+c.id, err)
	}
}

// logOptions reads PodLogOptions as the API server sends them.
func logOptions(query url.Values, now time.Time) (*crilogs.LogOptions, error) {
	options := &crilogs.LogOptions{
		Follow:    isTrue(query.Get("follow")),
		Timestamp: isTrue(query.Get("timestamps")),
	}
	var sinceSeconds *int64
	for name, into := range map[string]**int64{
		"tailLines": &options.TailLines, "limitBytes": &options.LimitBytes, "sinceSeconds": &sinceSeconds,
	} {
		if !query.Has(name) {
			continue
		}
		number, err := strconv.ParseInt(query.Get(name), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is not a number: %w", name, err)
		}
		*into = &number
	}
	if sinceSeconds != nil {
		options.Since = now.Add(-time.Duration(*sinceSeconds) * time.Second)
	}
	if query.Has("sinceTime") {
		since, err := time.Parse(time.RFC3339, query.Get("sinceTime"))
		if err != nil {
			return nil, fmt.Errorf("sinceTime: %w", err)
		}
		options.Since = since
	}
	return options, nil
}

func isTrue(value string) bool { return value == "true" }

func logStreams(wanted string, out io.Writer) (toStdout, toStderr io.Writer) {
	switch wanted {
	case "Stdout":
		return out, io.Discard
	case "Stderr":
		return io.Discard, out
	default:
		return out, out
	}
}

// containerState is the one thing the log reader asks of a runtime: whether the container still runs.
type containerState struct {
	internalapi.RuntimeService
	c *container
}

func (s containerState) ContainerStatus(context.Context, string, bool) (*runtimeapi.ContainerStatusResponse, error) {
	state := runtimeapi.ContainerState_CONTAINER_RUNNING
	if s.c.ended() {
		state = runtimeapi.ContainerState_CONTAINER_EXITED
	}
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{State: state}}, nil
}
