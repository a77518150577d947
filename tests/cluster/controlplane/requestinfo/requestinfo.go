// Package requestinfo tells how kube-apiserver itself reads a request line, so that another parser can
// be held against it. It asks net/http and k8s.io/apiserver, and adds no reading of its own.
package requestinfo

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/klog/v2"
)

// maxLineBytes bounds one question; kube-apiserver itself stops reading a head at 1 MiB.
const maxLineBytes = 2 << 20

// Answer is one line of output. Exactly one of HTTPError, RequestInfoError and the rest is meaningful.
type Answer struct {
	// HTTPError is set where net/http refuses the request line: the API server answers 400.
	HTTPError string `json:"httpError,omitempty"`
	// RequestInfoError is set where the RequestInfo cannot be made: the API server answers 500.
	RequestInfoError string `json:"requestInfoError,omitempty"`
	// Lossy says that a value held bytes that are not UTF-8, shown here as U+FFFD.
	Lossy bool `json:"lossy,omitempty"`

	Method            string              `json:"method"`
	Verb              string              `json:"verb"`
	APIPrefix         string              `json:"apiPrefix"`
	APIGroup          string              `json:"apiGroup"`
	APIVersion        string              `json:"apiVersion"`
	Namespace         string              `json:"namespace"`
	Resource          string              `json:"resource"`
	Subresource       string              `json:"subresource"`
	Name              string              `json:"name"`
	Path              string              `json:"path"`
	IsResourceRequest bool                `json:"isResourceRequest"`
	FieldSelector     string              `json:"fieldSelector"`
	LabelSelector     string              `json:"labelSelector"`
	Parts             []string            `json:"parts"`
	Query             map[string][]string `json:"query"`
}

// The prefixes are those of kube-apiserver's own resolver (k8s.io/apiserver/pkg/server/config.go,
// NewRequestInfoResolver).
var factory = request.RequestInfoFactory{
	APIPrefixes:          sets.NewString("api", "apis"),
	GrouplessAPIPrefixes: sets.NewString("api"),
}

// Main answers each line of in, the base64 of `METHOD TARGET`, with one JSON line on out, at once, until
// in ends. A line that is not base64 ends it with an error: it is the asker's mistake, not a reading.
func Main(in io.Reader, out io.Writer) error {
	klog.SetLogger(logr.Discard())
	questions := bufio.NewScanner(in)
	questions.Buffer(nil, maxLineBytes)
	answers := json.NewEncoder(out)
	answers.SetEscapeHTML(false)
	for questions.Scan() {
		line, err := base64.StdEncoding.DecodeString(questions.Text())
		if err != nil {
			return fmt.Errorf("a question must be the base64 of METHOD TARGET: %w", err)
		}
		if err := answers.Encode(Read(string(line))); err != nil {
			return err
		}
	}
	return questions.Err()
}

// Read gives kube-apiserver's reading of a request whose request line begins with line.
func Read(line string) Answer {
	head := line + " HTTP/1.1\r\nHost: oracle.invalid\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		return Answer{HTTPError: err.Error()}
	}
	info, err := factory.NewRequestInfo(r)
	if err != nil {
		return Answer{RequestInfoError: err.Error(), Method: r.Method, Path: r.URL.Path}
	}
	answer := Answer{
		Method:            r.Method,
		Verb:              info.Verb,
		APIPrefix:         info.APIPrefix,
		APIGroup:          info.APIGroup,
		APIVersion:        info.APIVersion,
		Namespace:         info.Namespace,
		Resource:          info.Resource,
		Subresource:       info.Subresource,
		Name:              info.Name,
		Path:              info.Path,
		IsResourceRequest: info.IsResourceRequest,
		FieldSelector:     info.FieldSelector,
		LabelSelector:     info.LabelSelector,
		Parts:             info.Parts,
		Query:             r.URL.Query(),
	}
	answer.Lossy = !answer.isUTF8()
	return answer
}

func (a Answer) isUTF8() bool {
	for key, values := range a.Query {
		if !utf8.ValidString(key) || slices.ContainsFunc(values, invalidUTF8) {
			return false
		}
	}
	// The path holds group, resource, name and parts; the query holds the selectors and a name taken from one.
	return utf8.ValidString(a.Path)
}

func invalidUTF8(s string) bool { return !utf8.ValidString(s) }
