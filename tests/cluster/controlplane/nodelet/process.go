package nodelet

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"github.com/creack/pty"
)

// spawner starts processes that do not outlive the node.
//
// Linux sends the parent-death signal when the thread that forked ends, not the process
// (prctl(2), PR_SET_PDEATHSIG), so all are started on one thread that never does.
type spawner struct{ starts chan func() }

func newSpawner() *spawner {
	s := &spawner{starts: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for start := range s.starts {
			start()
		}
	}()
	return s
}

// command is what to run; with a terminal, it has stdin, and its stderr goes to stdout.
type command struct {
	argv     []string
	dir      string
	env      []string
	stdin    bool
	terminal bool
	size     *pty.Winsize
}

// process is a running process, with our ends of its streams. It leads a process group, which ends with
// it: as a container ends with its first process.
type process struct {
	child    *os.Process
	stdin    io.WriteCloser // nil where there is none
	stdout   io.ReadCloser
	stderr   io.ReadCloser
	terminal *os.File // nil where there is none

	mu     sync.Mutex
	reaped bool
}

func (s *spawner) start(c command) (*process, error) {
	if len(c.argv) == 0 {
		return nil, errors.New("no command is given")
	}
	type result struct {
		p   *process
		err error
	}
	results := make(chan result, 1)
	s.starts <- func() {
		cmd := exec.Command(c.argv[0], c.argv[1:]...)
		cmd.Dir, cmd.Env = c.dir, c.env
		open := startPiped
		if c.terminal {
			open = startOnTerminal
		}
		p, err := open(cmd, c)
		results <- result{p, err}
	}
	r := <-results
	return r.p, r.err
}

func startOnTerminal(cmd *exec.Cmd, c command) (*process, error) {
	cmd.Env = append(cmd.Env, "TERM=xterm")
	// pty makes it lead a session, and so a group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	terminal, err := pty.StartWithSize(cmd, c.size)
	if err != nil {
		return nil, err
	}
	nothing := io.NopCloser(emptyReader{})
	return &process{child: cmd.Process, stdin: terminal, stdout: terminal, stderr: nothing, terminal: terminal}, nil
}

// emptyReader is the stderr of a process on a terminal.
type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, io.EOF }

// startPiped uses pipes of its own rather than exec.Cmd's, whose Wait either loses what was not yet read
// or waits for a client that has not closed its side of stdin.
func startPiped(cmd *exec.Cmd, c command) (*process, error) {
	p := &process{}
	theirs := []*os.File{}
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	if c.stdin {
		near, far, err := inputPipe()
		if err != nil {
			return nil, err
		}
		theirs = append(theirs, far)
		p.stdin, cmd.Stdin = near, far
	}
	for _, s := range []struct {
		near *io.ReadCloser
		far  *io.Writer
	}{{&p.stdout, &cmd.Stdout}, {&p.stderr, &cmd.Stderr}} {
		near, far, err := os.Pipe()
		if err != nil {
			p.close()
			return nil, err
		}
		theirs = append(theirs, far)
		*s.near, *s.far = near, far
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		p.close()
		return nil, err
	}
	p.child = cmd.Process
	return p, nil
}

func inputPipe() (near, far *os.File, err error) {
	far, near, err = os.Pipe()
	return near, far, err
}

// wait returns the exit code, as a shell tells it, once the process has ended; what it left running in
// its group is ended too. Output may still be waiting to be read.
func (p *process) wait() int {
	state, err := p.child.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-p.child.Pid, syscall.SIGKILL)
	// INVARIANT: no signal is sent from here on: the number may be another's.
	p.reaped = true
	if err != nil {
		return startErrorCode
	}
	if status := state.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// signal reaches the whole group; after wait it reaches no one.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.child.Pid, s)
	}
}

// close closes our ends of the streams.
func (p *process) close() {
	for _, c := range []io.Closer{p.stdin, p.stdout, p.stderr} {
		if c != nil {
			_ = c.Close()
		}
	}
}
