package nodelet

import (
	"context"
	"io"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// attacher is remotecommand.Attacher for one container.
type attacher struct{ c *container }

func (a attacher) AttachContainer(
	_ context.Context, _, _, _ string,
	in io.Reader, out, errOut io.WriteCloser, _ bool, sizes <-chan remotecommand.TerminalSize,
) error {
	c := a.c
	l := c.output.listen()
	defer c.output.leave(l)
	go resize(c.main, sizes)
	if stdin := c.stdin(); in != nil && stdin != nil {
		go func() {
			if c.spec.StdinOnce {
				feed(c.main, in)
				return
			}
			_, _ = io.Copy(stdin, in)
		}()
	}
	for {
		select {
		case heard := <-l.chunks:
			if !tell(heard, out, errOut) {
				return nil
			}
		case <-c.done:
			tellRest(l, out, errOut)
			return nil
		}
	}
}

// tellRest gives what was written before the end: by then no more is to come.
func tellRest(l *listener, out, errOut io.Writer) {
	for {
		select {
		case heard := <-l.chunks:
			if !tell(heard, out, errOut) {
				return
			}
		default:
			return
		}
	}
}

// tell writes to the client, and says whether it is still there.
func tell(heard chunk, out, errOut io.Writer) bool {
	to := out
	if heard.stream == stderr {
		to = errOut
	}
	if to == nil {
		return true
	}
	_, err := to.Write(heard.data)
	return err == nil
}
