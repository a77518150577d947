package nodelet

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// startErrorCode is what runtimes report for a container whose process could not be started.
const startErrorCode = 128

// escapeTimeout is how long a killed container's output may stay open: a process that has left its group
// may still hold it.
const escapeTimeout = time.Second

var errNotRunning = errors.New("the container is not running")

// container is a process, its log, and what is run beside it by exec.
type container struct {
	id        string
	spec      corev1.Container
	dir       string
	logPath   string
	env       []string
	spawner   *spawner
	output    *output
	main      *process
	startedAt metav1.Time

	// done is closed once the process has ended and its output is all in the log; the three below are
	// only read after that.
	done       chan struct{}
	startError error
	exitCode   int
	finishedAt metav1.Time

	mu    sync.Mutex
	execs map[*process]struct{}
}

// startContainer starts a container; one that cannot be started has ended with its startError.
func startContainer(s *spawner, p *pod, spec corev1.Container) *container {
	dir := filepath.Join(p.dir, spec.Name)
	c := &container{
		id:        p.name.String() + "/" + string(p.uid) + "/" + spec.Name,
		spec:      spec,
		dir:       dir,
		logPath:   dir + ".log",
		env:       containerEnvironment(p, spec, dir),
		spawner:   s,
		startedAt: metav1.Now(),
		done:      make(chan struct{}),
		execs:     map[*process]struct{}{},
	}
	if err := c.start(); err != nil {
		warn("cannot start container "+c.id, err)
		c.startError, c.exitCode, c.finishedAt = err, startErrorCode, metav1.Now()
		close(c.done)
	}
	return c
}

func (c *container) start() error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	log, err := createLogFile(c.logPath)
	if err != nil {
		return err
	}
	c.output = newOutput(log)
	c.main, err = c.spawner.start(command{
		argv: containerCommand(c.spec), dir: c.dir, env: c.env, stdin: c.spec.Stdin, terminal: c.spec.TTY,
	})
	if err != nil {
		return errors.Join(err, log.close())
	}
	var copies sync.WaitGroup
	copies.Go(func() { c.output.copyFrom(stdout, c.main.stdout) })
	copies.Go(func() { c.output.copyFrom(stderr, c.main.stderr) })
	go func() {
		c.exitCode = c.main.wait()
		copies.Wait()
		c.main.close()
		_ = log.close()
		c.end()
	}()
	return nil
}

// containerCommand is the pod's own; an image's is not known, so that a pod without one just sits there.
func containerCommand(spec corev1.Container) []string {
	if argv := append(append([]string{}, spec.Command...), spec.Args...); len(argv) > 0 {
		return argv
	}
	return []string{"sleep", "infinity"}
}

// containerEnvironment does not hand on the node's own, which is that of whoever started the tests.
func containerEnvironment(p *pod, spec corev1.Container, dir string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + dir, "HOSTNAME=" + p.name.Name}
	for _, e := range spec.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	return env
}

func (c *container) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// exec starts another process in the container; finish it with endExec.
func (c *container) exec(cmd command) (*process, error) {
	cmd.dir, cmd.env = c.dir, append(c.env[:len(c.env):len(c.env)], cmd.env...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended() {
		return nil, errNotRunning
	}
	p, err := c.spawner.start(cmd)
	if err == nil {
		c.execs[p] = struct{}{}
	}
	return p, err
}

func (c *container) endExec(p *process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.execs, p)
	p.close()
}

func (c *container) signal(s syscall.Signal) {
	if c.startError == nil && !c.ended() {
		c.main.signal(s)
	}
}

// kill ends all that runs in the container, and returns once it has ended.
func (c *container) kill() {
	c.signal(syscall.SIGKILL)
	select {
	case <-c.done:
	case <-time.After(escapeTimeout):
		c.main.close()
		<-c.done
	}
}

// end says that the process has ended, and takes what exec has started with it.
func (c *container) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.execs {
		p.signal(syscall.SIGKILL)
	}
	c.finishedAt = metav1.Now()
	close(c.done)
}

// stdin is where an attached client writes, or nil where the pod does not ask for one.
func (c *container) stdin() io.Writer {
	if c.main.stdin == nil {
		return nil
	}
	return c.main.stdin
}
