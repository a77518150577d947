package nodelet

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/creack/pty"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// firstSizeTimeout is how long a command on a terminal waits for the client to say how large it is, so
// that the first thing it prints already fits. kubectl says so at once.
const firstSizeTimeout = 200 * time.Millisecond

// executor is remotecommand.Executor for one container.
type executor struct{ c *container }

func (e executor) ExecInContainer(
	_ context.Context, _, _, _ string, argv []string,
	in io.Reader, out, errOut io.WriteCloser, tty bool, sizes <-chan remotecommand.TerminalSize, _ time.Duration,
) error {
	cmd := command{argv: argv, stdin: in != nil, terminal: tty}
	if tty {
		cmd.size = firstSize(sizes)
	}
	p, err := e.c.exec(cmd)
	if err != nil {
		return err
	}
	defer e.c.endExec(p)
	if tty {
		go resize(p, sizes)
	}
	if in != nil {
		// Not waited for: the client may keep its side open for as long as it likes.
		go feed(p, in)
	}
	var copies sync.WaitGroup
	copies.Go(func() { drain(out, p.stdout) })
	copies.Go(func() { drain(errOut, p.stderr) })
	code := p.wait()
	copies.Wait()
	return exitError(code)
}

// feed writes a client's input to a process. At its end a pipe is closed; a terminal stays as it is, for
// closing it would hang up on the process.
func feed(p *process, in io.Reader) {
	_, _ = io.Copy(p.stdin, in)
	if p.terminal == nil {
		_ = p.stdin.Close()
	}
}

// drain copies one output to the client. A client that has gone leaves the process writing into a closed
// pipe, which ends it, rather than into a full one.
func drain(to io.Writer, from io.ReadCloser) {
	if to == nil {
		to = io.Discard
	}
	_, _ = io.Copy(to, from)
	_ = from.Close()
}

func firstSize(sizes <-chan remotecommand.TerminalSize) *pty.Winsize {
	if sizes == nil {
		return nil
	}
	select {
	case size, open := <-sizes:
		if open {
			return &pty.Winsize{Rows: size.Height, Cols: size.Width}
		}
	case <-time.After(firstSizeTimeout):
	}
	return nil
}

// resize follows the client's terminal until the stream ends.
func resize(p *process, sizes <-chan remotecommand.TerminalSize) {
	if p.terminal == nil || sizes == nil {
		return
	}
	for size := range sizes {
		_ = pty.Setsize(p.terminal, &pty.Winsize{Rows: size.Height, Cols: size.Width})
	}
}

func exitError(code int) error {
	if code == 0 {
		return nil
	}
	return utilexec.CodeExitError{Err: fmt.Errorf("exit status %d", code), Code: code}
}
