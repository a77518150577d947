package nodelet

import (
	"bytes"
	"fmt"
	"os"
	"time"
)

// maxLogLineBytes is where the runtimes cut a long line into partial ones.
const maxLogLineBytes = 16 << 10

// logFile is a container's log in the CRI format: `TIME STREAM F|P TEXT`, where P says that the line goes
// on in the next record (k8s.io/cri-client/pkg/logs). Not for use by several goroutines at once.
type logFile struct {
	file    *os.File
	pending map[stream][]byte
}

func createLogFile(path string) (*logFile, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &logFile{file: file, pending: map[stream][]byte{}}, nil
}

// write adds data; what has no end of line yet is held back.
func (f *logFile) write(s stream, data []byte) {
	var records bytes.Buffer
	rest := append(f.pending[s], data...)
	for {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if !whole {
			break
		}
		record(&records, s, "F", line)
		rest = after
	}
	for len(rest) >= maxLogLineBytes {
		record(&records, s, "P", rest[:maxLogLineBytes])
		rest = rest[maxLogLineBytes:]
	}
	f.pending[s] = bytes.Clone(rest)
	f.flush(&records)
}

// end writes what the stream's last line holds, without inventing an end for it.
func (f *logFile) end(s stream) {
	if rest := f.pending[s]; len(rest) > 0 {
		var records bytes.Buffer
		record(&records, s, "P", rest)
		f.flush(&records)
		delete(f.pending, s)
	}
}

func (f *logFile) flush(records *bytes.Buffer) {
	if records.Len() == 0 {
		return
	}
	// One write for all, so that a reader who follows meets whole records.
	if _, err := f.file.Write(records.Bytes()); err != nil {
		warn("cannot write "+f.file.Name(), err)
	}
}

func (f *logFile) close() error { return f.file.Close() }

func record(into *bytes.Buffer, s stream, tag string, text []byte) {
	fmt.Fprintf(into, "%s %s %s %s\n", time.Now().UTC().Format(time.RFC3339Nano), s, tag, text)
}
