package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	smallBytes   = 600
	account      = "system:serviceaccount:kzproxy:kzproxy"
	selfReview   = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	accessReview = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
	// kube-apiserver writes a list in pieces of about this size.
	chunkBytes = 4 << 10
)

// counts is what the benchmark compares with answers and decision records.
type counts struct {
	Requests       uint64 `json:"requests"`
	Impersonated   uint64 `json:"impersonated"`
	AuditIDs       uint64 `json:"audit_ids"`
	AuditSum       string `json:"audit_sum"`
	BytesReceived  uint64 `json:"bytes_received"`
	Watchers       int    `json:"watchers"`
	CipherSuite    string `json:"cipher_suite"`
	auditSum       uint64
	cipherSuiteNum uint16
}

type server struct {
	authorization string
	watchers      watchers
	filler        []byte

	mutex sync.Mutex
	now   counts
}

func newServer(token string) *server {
	filler := make([]byte, 64<<10)
	for i := range filler {
		filler[i] = "0123456789abcdef"[i%16]
	}
	return &server{
		authorization: "Bearer " + token,
		filler:        filler,
		watchers:      watchers{open: map[*watcher]struct{}{}},
	}
}

func (s *server) counts() counts {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := s.now
	now.AuditSum = strconv.FormatUint(now.auditSum, 10)
	now.CipherSuite = tls.CipherSuiteName(now.cipherSuiteNum)
	now.Watchers = s.watchers.count()
	return now
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && (r.URL.Path == selfReview || r.URL.Path == accessReview) {
		s.review(w, r)
		return
	}
	user := s.note(r)
	if id := r.Header.Get("Audit-Id"); id != "" {
		w.Header().Set("Audit-Id", id)
	}
	w.Header().Set("Cache-Control", "no-cache, private")
	w.Header().Set("Content-Type", "application/json")
	if r.ContentLength != 0 {
		received, _ := io.Copy(io.Discard, r.Body)
		s.mutex.Lock()
		s.now.BytesReceived += uint64(received)
		s.mutex.Unlock()
	}
	s.answer(w, r, user)
}

// note counts the request and returns whom it impersonates.
func (s *server) note(r *http.Request) string {
	users := r.Header["Impersonate-User"]
	rightly := len(users) == 1 && users[0] != "" && r.Header.Get("Authorization") == s.authorization
	id := r.Header.Get("Audit-Id")
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.now.Requests++
	if rightly {
		s.now.Impersonated++
	}
	if id != "" {
		s.now.AuditIDs++
		s.now.auditSum += hash(id)
	}
	if r.TLS != nil {
		s.now.cipherSuiteNum = r.TLS.CipherSuite
	}
	if len(users) == 0 {
		return ""
	}
	return users[0]
}

func (s *server) answer(w http.ResponseWriter, r *http.Request, user string) {
	if r.URL.Query().Get("watch") == "true" {
		s.watchers.serve(w, r)
		return
	}
	last := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if size, ok := sizeIn(last, "bytes-"); ok {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		s.write(w, size, len(s.filler))
		return
	}
	if size, ok := sizeIn(last, "chunked-"); ok {
		s.write(w, size, chunkBytes)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(smallBytes))
	_, _ = w.Write(small(user, r.URL.RequestURI()))
}

// write sends size bytes, a piece at a time, each flushed where the length was not announced.
func (s *server) write(w http.ResponseWriter, size, piece int) {
	announced := w.Header().Get("Content-Length") != ""
	control := http.NewResponseController(w)
	for size > 0 {
		part := s.filler[:min(size, piece)]
		if _, err := w.Write(part); err != nil {
			return
		}
		if !announced && control.Flush() != nil {
			return
		}
		size -= len(part)
	}
}

// small returns an object of smallBytes that begins with what the loader compares.
func small(user, target string) []byte {
	object := make([]byte, 0, smallBytes+64)
	object = fmt.Appendf(object, `{"user":"%s","target":"%s","padding":"`, user, target)
	for len(object) < smallBytes-2 {
		object = append(object, 'x')
	}
	return append(object[:smallBytes-2], `"}`...)
}

// review answers what kzproxy asks about its account at the start.
func (s *server) review(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Authorization") != s.authorization {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"kind":"Status","message":"Unauthorized"}`)
		return
	}
	name := account
	if users := r.Header["Impersonate-User"]; len(users) == 1 {
		name = users[0]
	}
	status := map[string]any{"userInfo": map[string]any{"username": name, "groups": []string{}}}
	if r.URL.Path == accessReview {
		status = map[string]any{"allowed": false}
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status})
}

func sizeIn(segment, prefix string) (int, bool) {
	digits, found := strings.CutPrefix(segment, prefix)
	if !found {
		return 0, false
	}
	size, err := strconv.Atoi(digits)
	return size, err == nil
}

// hash is summed over all ids: equal sums of equally many mean the same ids, in any order.
func hash(id string) uint64 { return uint64(crc32.ChecksumIEEE([]byte(id))) }
