package nodelet

import (
	"io"
	"strings"
	"syscall"
	"testing"
)

func TestTheExitCodeIsTheShells(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -9 $$": 137} {
		if _, code := shell(t, script); code != want {
			t.Errorf("%s: %d", script, code)
		}
	}
}

func TestOutputOfAnEndedProcessIsNotLost(t *testing.T) {
	// More than a pipe holds, so that the process ends only while it is read.
	out, _ := shell(t, "head -c 300000 /dev/zero; echo end")
	if len(out) != 300004 || !strings.HasSuffix(out, "end\n") {
		t.Errorf("%d bytes", len(out))
	}
}

func TestWhatIsLeftInTheBackgroundEndsWithTheProcess(t *testing.T) {
	// Otherwise the read would last a minute: sleep holds stdout.
	out, _ := shell(t, "sleep 60 & echo $!")
	if strings.TrimSpace(out) == "" {
		t.Fatal("no pid")
	}
}

func TestAMissingCommandIsNamed(t *testing.T) {
	_, err := newSpawner().start(command{argv: []string{"no-such-command"}, dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), `"no-such-command": executable file not found`) {
		t.Errorf("%v", err)
	}
	if _, err := newSpawner().start(command{}); err == nil {
		t.Error("nothing was started")
	}
}

func TestASignalReachesTheWholeGroup(t *testing.T) {
	p, err := newSpawner().start(command{argv: []string{"sh", "-c", "echo up; sleep 60; echo no"}, dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if _, err := io.ReadFull(p.stdout, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 143 {
		t.Errorf("%d", code)
	}
}

func shell(t *testing.T, script string) (string, int) {
	t.Helper()
	p, err := newSpawner().start(command{argv: []string{"sh", "-c", script}, dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	codes := make(chan int, 1)
	go func() { codes <- p.wait() }()
	out, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), <-codes
}
