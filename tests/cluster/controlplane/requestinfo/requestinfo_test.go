package requestinfo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

func TestItReadsAsKubeAPIServerDoes(t *testing.T) {
	for _, c := range []struct{ line, verb, namespace, resource, name string }{
		{"GET /api/v1/namespaces/a%2fconfigmaps%2fc1", "get", "a", "configmaps", "c1"},
		{"GET /api/v1/namespaces//secrets", "list", "", "secrets", ""},
		{"DELETE /api/v1/namespaces/b/secrets/", "deletecollection", "b", "secrets", ""},
		{"GET /api/v1/namespaces/b/secrets?watch", "watch", "b", "secrets", ""},
		{"GET /api/v1/namespaces/b/secrets?fieldSelector=metadata.name%3Ds1", "list", "b", "secrets", "s1"},
		{"get /api/v1/pods", "", "", "pods", ""},
	} {
		a := Read(c.line)
		if a.Verb != c.verb || a.Namespace != c.namespace || a.Resource != c.resource || a.Name != c.name {
			t.Errorf("%s: %+v", c.line, a)
		}
	}
}

func TestEachRefusalSaysWhichLayerRefused(t *testing.T) {
	if a := Read("GET /%zz"); a.HTTPError == "" {
		t.Errorf("a bad escape was read: %+v", a)
	}
	if a := Read("GET /api/v1/watch"); a.RequestInfoError == "" {
		t.Errorf("a bare watch prefix was read: %+v", a)
	}
}

func TestBytesThatAreNotTextAreOwnedUpTo(t *testing.T) {
	if a := Read("GET /api/v1/namespaces/%ff/pods"); !a.Lossy {
		t.Errorf("%+v", a)
	}
}

func TestEachLineGetsOneLine(t *testing.T) {
	question := base64.StdEncoding.EncodeToString([]byte("GET /healthz"))
	var out bytes.Buffer
	if err := Main(strings.NewReader(question+"\n"+question+"\n"), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !json.Valid([]byte(lines[0])) {
		t.Fatalf("%q", out.String())
	}
}
