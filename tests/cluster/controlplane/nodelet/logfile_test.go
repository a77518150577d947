package nodelet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestALineIsOneRecordHoweverItArrives(t *testing.T) {
	records := written(t, func(f *logFile) {
		f.write(stdout, []byte("on"))
		f.write(stderr, []byte("other\n"))
		f.write(stdout, []byte("e\ntwo\n"))
	})
	want := []string{"stderr F other", "stdout F one", "stdout F two"}
	if strings.Join(records, "|") != strings.Join(want, "|") {
		t.Errorf("%q", records)
	}
}

func TestALineWithoutAnEndIsPartial(t *testing.T) {
	records := written(t, func(f *logFile) {
		f.write(stdout, []byte("no end"))
		f.end(stdout)
	})
	if len(records) != 1 || records[0] != "stdout P no end" {
		t.Errorf("%q", records)
	}
}

func TestALongLineIsCut(t *testing.T) {
	records := written(t, func(f *logFile) {
		f.write(stdout, []byte(strings.Repeat("x", maxLogLineBytes+1)+"\n"))
		f.write(stdout, []byte(strings.Repeat("y", maxLogLineBytes+1)))
		f.write(stdout, []byte("\n"))
	})
	if len(records) != 3 || !strings.HasPrefix(records[1], "stdout P yyy") || records[2] != "stdout F y" {
		t.Errorf("%d records", len(records))
	}
}

// written gives the records without their times.
func written(t *testing.T, write func(*logFile)) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	f, err := createLogFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(f)
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var records []string
	for line := range strings.Lines(string(text)) {
		_, record, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		records = append(records, record)
	}
	return records
}
