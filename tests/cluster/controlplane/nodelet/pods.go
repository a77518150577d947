package nodelet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// pods is what runs on the node. Its methods may be called from any goroutine.
type pods struct {
	client  kubernetes.Interface
	node    string
	root    string
	spawner *spawner

	mu    sync.Mutex
	byUID map[types.UID]*pod
	// byName finds the newest pod of a name: its forerunner may still be ending.
	byName map[types.NamespacedName]*pod
}

// pod is one pod's containers, by name.
type pod struct {
	name       types.NamespacedName
	uid        types.UID
	dir        string
	containers map[string]*container
	stopping   sync.Once
}

func newPods(client kubernetes.Interface, node, root string) *pods {
	return &pods{
		client:  client,
		node:    node,
		root:    root,
		spawner: newSpawner(),
		byUID:   map[types.UID]*pod{},
		byName:  map[types.NamespacedName]*pod{},
	}
}

// follow runs what the API server gives this node until ctx ends.
func (ps *pods) follow(ctx context.Context) {
	watchPods(ctx, ps.client, "spec.nodeName="+ps.node, podEvents{
		changed: func(object *corev1.Pod) { ps.changed(ctx, object) },
		gone: func(object *corev1.Pod) {
			if p := ps.pod(object.UID); p != nil {
				go ps.stop(p, 0)
			}
		},
	})
}

func (ps *pods) changed(ctx context.Context, object *corev1.Pod) {
	p := ps.pod(object.UID)
	switch {
	case object.DeletionTimestamp != nil:
		go ps.delete(ctx, p, object)
	case p == nil && object.Status.Phase == corev1.PodPending:
		ps.start(ctx, object)
	}
}

func (ps *pods) pod(uid types.UID) *pod {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.byUID[uid]
}

// container finds a running or ended container.
func (ps *pods) container(pod types.NamespacedName, name string) (*container, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.byName[pod]
	if p == nil {
		return nil, fmt.Errorf("pod %s not found on node %s", pod, ps.node)
	}
	c := p.containers[name]
	if c == nil {
		return nil, fmt.Errorf("container %s not found in pod %s", name, pod)
	}
	return c, nil
}

func (ps *pods) start(ctx context.Context, object *corev1.Pod) {
	p := &pod{
		name:       types.NamespacedName{Namespace: object.Namespace, Name: object.Name},
		uid:        object.UID,
		dir:        filepath.Join(ps.root, string(object.UID)),
		containers: map[string]*container{},
	}
	for _, spec := range object.Spec.Containers {
		c := startContainer(ps.spawner, p, spec)
		p.containers[spec.Name] = c
		go func() {
			<-c.done
			ps.report(ctx, p)
		}()
	}
	ps.mu.Lock()
	ps.byUID[p.uid], ps.byName[p.name] = p, p
	ps.mu.Unlock()
	go ps.report(ctx, p)
}

// delete ends a pod's processes within its grace period and then lets go of the object.
func (ps *pods) delete(ctx context.Context, p *pod, object *corev1.Pod) {
	if p != nil {
		grace := time.Duration(0)
		if seconds := object.DeletionGracePeriodSeconds; seconds != nil {
			grace = time.Duration(*seconds) * time.Second
		}
		ps.stop(p, grace)
	}
	now := int64(0)
	err := ps.client.CoreV1().Pods(object.Namespace).Delete(ctx, object.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now,
		Preconditions:      &metav1.Preconditions{UID: &object.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && ctx.Err() == nil {
		warn("cannot delete pod "+object.Namespace+"/"+object.Name, err)
	}
}

// stop ends a pod's processes and forgets it; the first call alone does it, the others wait for it.
func (ps *pods) stop(p *pod, grace time.Duration) {
	p.stopping.Do(func() {
		for _, c := range p.containers {
			c.signal(syscall.SIGTERM)
		}
		deadline := time.After(grace)
		for _, c := range p.containers {
			select {
			case <-c.done:
			case <-deadline:
				deadline = closed
			}
			c.kill()
		}
		ps.forget(p)
		if err := os.RemoveAll(p.dir); err != nil {
			warn("cannot remove "+p.dir, err)
		}
	})
}

// closed is a deadline that has passed, however often it is asked.
var closed = func() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

func (ps *pods) forget(p *pod) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.byUID, p.uid)
	if ps.byName[p.name] == p {
		delete(ps.byName, p.name)
	}
}

// stopAll ends every pod's processes and leaves their objects alone.
func (ps *pods) stopAll(grace time.Duration) {
	ps.mu.Lock()
	all := make([]*pod, 0, len(ps.byUID))
	for _, p := range ps.byUID {
		all = append(all, p)
	}
	ps.mu.Unlock()
	var stopping sync.WaitGroup
	for _, p := range all {
		stopping.Go(func() { ps.stop(p, grace) })
	}
	stopping.Wait()
}
