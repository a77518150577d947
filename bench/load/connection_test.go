package main

import (
	"bufio"
	"strings"
	"testing"
	"testing/iotest"
)

func reading(text string) *connection {
	// One byte at a time: no answer may depend on how it is cut.
	reader := bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(text)), smallBuffer)
	made := &load{plan: &plan{Identities: []identity{{User: "ann"}}, CheckUser: true, CheckTarget: true}}
	return &connection{load: made, reader: reader, scratch: make([]byte, 1<<10)}
}

func TestAnAnswerOfKnownLengthIsRead(t *testing.T) {
	c := reading("HTTP/1.1 200 OK\r\nContent-Length: 5\r\naudit-id: x-1\r\n\r\nhelloHTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")
	got, err := c.read()
	if err != nil || got.status != 200 || got.bytes != 5 || string(got.start) != "hello" || got.auditID != "x-1" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got, err = c.read(); err != nil || got.status != 404 || got.bytes != 0 {
		t.Fatalf("the next: %+v, %v", got, err)
	}
}

func TestAChunkedAnswerIsReadToItsEnd(t *testing.T) {
	c := reading("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\nrest")
	got, err := c.read()
	if err != nil || got.bytes != 15 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if rest, _ := c.reader.Peek(4); string(rest) != "rest" {
		t.Errorf("left: %q", rest)
	}
}

func TestWhatIsNoWholeAnswerIsAnError(t *testing.T) {
	for _, text := range []string{
		"",
		"HTTP/1.1 2",
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 xyz OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		if got, err := reading(text).read(); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestAnAnswerForAnotherIsAnError(t *testing.T) {
	c := reading("")
	right := answer{status: 200, start: []byte(`{"user":"ann","target":"/api","padding":"x"}`)}
	if err := c.check(right, 0, "/api"); err != nil {
		t.Error(err)
	}
	for name, wrong := range map[string]answer{
		"status": {status: 403, start: right.start},
		"user":   {status: 200, start: []byte(`{"user":"anna","target":"/api"}`)},
		"target": {status: 200, start: []byte(`{"user":"ann","target":"/apis"}`)},
	} {
		if c.check(wrong, 0, "/api") == nil {
			t.Errorf("a wrong %s passes", name)
		}
	}
}

func TestAnEventSaysWhenItBegan(t *testing.T) {
	sent, err := sentAt([]byte(`{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"1700000000123456789"}}}`))
	if err != nil || sent.UnixNano() != 1700000000123456789 {
		t.Errorf("got %v, %v", sent, err)
	}
	if _, err := sentAt([]byte(`{"type":"BOOKMARK"}`)); err == nil {
		t.Error("an event without a time passes")
	}
}
