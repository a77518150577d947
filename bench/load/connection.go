package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// connection is one HTTP/1.1 connection; written by hand, so that the load costs little beside what
// it measures. It reads what the benchmark's upstream and kube-apiserver write, and no more.
type connection struct {
	load    *load
	who     int
	raw     net.Conn
	reader  *bufio.Reader
	request []byte
	scratch []byte
}

// answer is a response whose body has been read to its end, or is chunked and has not been begun.
type answer struct {
	status  int
	auditID string
	bytes   int64
	length  int64
	chunked bool
	start   []byte
}

var zeros = make([]byte, 64<<10)

func (l *load) open(who, buffer int) (*connection, error) {
	raw, err := l.dial(who)
	if err != nil {
		return nil, err
	}
	return &connection{
		load: l, who: who, raw: raw,
		reader:  bufio.NewReaderSize(raw, buffer),
		scratch: make([]byte, 1<<10),
	}, nil
}

func (c *connection) close() { _ = c.raw.Close() }

// cipher is what both ends agreed on.
func (c *connection) cipher() string {
	secure, ok := c.raw.(*tls.Conn)
	if !ok {
		return ""
	}
	state := secure.ConnectionState()
	return fmt.Sprintf("%s %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
}

// ask sends a GET as an identity and reads all of the answer.
func (c *connection) ask(who int, target string) (answer, error) {
	c.head("GET", who, target, -1)
	if _, err := c.raw.Write(c.request); err != nil {
		return answer{}, err
	}
	got, err := c.read()
	if err == nil {
		err = c.check(got, who, target)
	}
	return got, err
}

// upload sends a POST with a body of zeros and reads the answer.
func (c *connection) upload(who int, target string, size int) (answer, error) {
	c.head("POST", who, target, size)
	if _, err := c.raw.Write(c.request); err != nil {
		return answer{}, err
	}
	for left := size; left > 0; {
		part := zeros[:min(left, len(zeros))]
		if _, err := c.raw.Write(part); err != nil {
			return answer{}, err
		}
		left -= len(part)
	}
	got, err := c.read()
	if err == nil {
		err = c.check(got, who, target)
	}
	return got, err
}

func (c *connection) head(method string, who int, target string, size int) {
	request := append(c.request[:0], method...)
	request = append(request, ' ')
	request = append(request, target...)
	request = append(request, " HTTP/1.1\r\nHost: "...)
	request = append(request, c.load.Address...)
	for _, header := range c.load.Headers {
		request = append(request, "\r\n"...)
		request = append(request, header[0]...)
		request = append(request, ": "...)
		request = append(request, header[1]...)
	}
	if c.load.Credentials {
		request = append(request, "\r\nAuthorization: Bearer "...)
		request = append(request, c.load.Identities[who].Token...)
	}
	if size >= 0 {
		request = append(request, "\r\nContent-Type: application/json\r\nContent-Length: "...)
		request = strconv.AppendInt(request, int64(size), 10)
	}
	c.request = append(request, "\r\n\r\n"...)
}

// check holds an answer against what was asked: a wrong one is an error, whatever its speed.
func (c *connection) check(got answer, who int, target string) error {
	if got.status != 200 {
		return &refusal{target: target, status: got.status, body: string(got.start)}
	}
	if c.load.CheckTarget && !bytes.Contains(got.start, []byte(`"target":"`+target+`"`)) {
		return fmt.Errorf("%s was answered with another's object: %s", target, got.start)
	}
	user := c.load.Identities[who].User
	if c.load.CheckUser && !bytes.HasPrefix(got.start, []byte(`{"user":"`+user+`"`)) {
		return fmt.Errorf("%s was answered for another than %s: %s", target, user, got.start)
	}
	return nil
}

// refusal is an answer that is not what was asked for.
type refusal struct {
	target string
	status int
	body   string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s was answered with %d: %s", r.target, r.status, r.body)
}

func (c *connection) read() (answer, error) {
	got, err := c.readHead()
	if err != nil {
		return got, err
	}
	if got.chunked {
		err = c.readChunks(&got)
	} else {
		err = c.readCounted(&got)
	}
	return got, err
}

var errHead = errors.New("the answer's head cannot be read")

func (c *connection) readHead() (answer, error) {
	got := answer{length: -1}
	line, err := c.line()
	if err != nil {
		return got, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return got, errHead
	}
	if got.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return got, errHead
	}
	for {
		if line, err = c.line(); err != nil || len(line) == 0 {
			break
		}
		c.header(&got, line)
	}
	if err == nil && got.length < 0 && !got.chunked {
		err = errHead
	}
	return got, err
}

func (c *connection) header(got *answer, line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("content-length")):
		got.length, _ = strconv.ParseInt(string(value), 10, 64)
	case bytes.EqualFold(name, []byte("transfer-encoding")):
		got.chunked = bytes.EqualFold(value, []byte("chunked"))
	case bytes.EqualFold(name, []byte("audit-id")):
		got.auditID = string(value)
	}
}

func (c *connection) readCounted(got *answer) error {
	kept := min(got.length, int64(len(c.scratch)))
	if _, err := io.ReadFull(c.reader, c.scratch[:kept]); err != nil {
		return err
	}
	got.start = c.scratch[:kept]
	got.bytes = got.length
	return c.skip(got.length - kept)
}

func (c *connection) readChunks(got *answer) error {
	for {
		size, err := c.chunkSize()
		if err != nil {
			return err
		}
		got.bytes += size
		if err := c.skip(size); err != nil {
			return err
		}
		line, err := c.line()
		if err != nil {
			return err
		}
		if len(line) != 0 {
			return errHead
		}
		if size == 0 {
			return nil
		}
	}
}

func (c *connection) chunkSize() (int64, error) {
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	digits, _, _ := bytes.Cut(line, []byte(";"))
	return strconv.ParseInt(string(digits), 16, 64)
}

func (c *connection) skip(size int64) error {
	for size > 0 {
		part, err := c.reader.Discard(int(min(size, 1<<30)))
		if err != nil {
			return err
		}
		size -= int64(part)
	}
	return nil
}

// line returns the next line without its end; it holds until the next read.
func (c *connection) line() ([]byte, error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}
