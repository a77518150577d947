package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func asked(s *server, method, target string, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, request)
	return recorder
}

func TestASmallObjectNamesWhoAskedForWhat(t *testing.T) {
	got := asked(newServer("t"), "GET", "/api/v1/services?limit=500", "Impersonate-User", "ann").Body.String()
	if len(got) != smallBytes || !strings.HasPrefix(got, `{"user":"ann","target":"/api/v1/services?limit=500",`) {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func TestSizesAreAsAskedFor(t *testing.T) {
	for target, size := range map[string]int{"/x/bytes-123456": 123456, "/x/chunked-99999": 99999, "/x/bytes-0": 0} {
		if got := asked(newServer("t"), "GET", target).Body.Len(); got != size {
			t.Errorf("%s: %d bytes", target, got)
		}
	}
}

func TestOnlyOneImpersonatedUserWithOurTokenCounts(t *testing.T) {
	s := newServer("t")
	asked(s, "GET", "/api", "Authorization", "Bearer t", "Impersonate-User", "ann", "Audit-Id", "1")
	asked(s, "GET", "/api", "Authorization", "Bearer x", "Impersonate-User", "ann")
	asked(s, "GET", "/api", "Authorization", "Bearer t")
	asked(s, "GET", "/api", "Authorization", "Bearer t", "Impersonate-User", "ann", "Impersonate-User", "bob")
	if got := s.counts(); got.Requests != 4 || got.Impersonated != 1 || got.AuditIDs != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestReviewsAreAnsweredAndNotCounted(t *testing.T) {
	s := newServer("t")
	if got := asked(s, "POST", selfReview, "Authorization", "Bearer t", "Impersonate-User", "probe"); got.Code != http.StatusCreated || !strings.Contains(got.Body.String(), `"username":"probe"`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if got := asked(s, "POST", accessReview, "Authorization", "Bearer t"); !strings.Contains(got.Body.String(), `"allowed":false`) {
		t.Error(got.Body)
	}
	if got := asked(s, "POST", selfReview, "Authorization", "Bearer x"); got.Code != http.StatusUnauthorized {
		t.Errorf("%d", got.Code)
	}
	if s.counts().Requests != 0 {
		t.Error("a review was counted")
	}
}
