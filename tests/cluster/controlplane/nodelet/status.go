package nodelet

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// report writes how a pod fares into its status.
func (ps *pods) report(ctx context.Context, p *pod) {
	objects := ps.client.CoreV1().Pods(p.name.Namespace)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		object, err := objects.Get(ctx, p.name.Name, metav1.GetOptions{})
		if err != nil || object.UID != p.uid {
			return err
		}
		object.Status = podStatus(object, p)
		_, err = objects.UpdateStatus(ctx, object, metav1.UpdateOptions{})
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		warn("cannot report pod "+p.name.String(), err)
	}
}

func podStatus(object *corev1.Pod, p *pod) corev1.PodStatus {
	status, address := object.Status, "127.0.0.1"
	status.HostIP, status.HostIPs = address, []corev1.HostIP{{IP: address}}
	status.PodIP, status.PodIPs = address, []corev1.PodIP{{IP: address}}
	if status.StartTime == nil {
		now := metav1.Now()
		status.StartTime = &now
	}
	status.ContainerStatuses = nil
	for _, spec := range object.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, p.containers[spec.Name].status(p))
	}
	status.Phase = phase(status.ContainerStatuses, object.Spec.RestartPolicy)
	status.Conditions = conditions(status)
	return status
}

func (c *container) status(p *pod) corev1.ContainerStatus {
	status := corev1.ContainerStatus{Name: c.spec.Name, Image: c.spec.Image, ContainerID: "local://" + c.id}
	if !c.ended() {
		started := true
		status.Ready, status.Started = true, &started
		status.State.Running = &corev1.ContainerStateRunning{StartedAt: c.startedAt}
		return status
	}
	ended := &corev1.ContainerStateTerminated{
		ExitCode:    int32(c.exitCode),
		Reason:      "Completed",
		StartedAt:   c.startedAt,
		FinishedAt:  c.finishedAt,
		ContainerID: status.ContainerID,
	}
	switch {
	case c.startError != nil:
		ended.Reason, ended.Message = "StartError", c.startError.Error()
	case c.exitCode != 0:
		ended.Reason = "Error"
	}
	status.State.Terminated = ended
	return status
}

// phase follows the kubelet, but for restarts: a pod that would be restarted is left Running, not ready.
func phase(containers []corev1.ContainerStatus, restart corev1.RestartPolicy) corev1.PodPhase {
	outcome := corev1.PodSucceeded
	for _, c := range containers {
		if c.State.Terminated == nil || restart == corev1.RestartPolicyAlways {
			return corev1.PodRunning
		}
		if c.State.Terminated.ExitCode != 0 {
			outcome = corev1.PodFailed
		}
	}
	return outcome
}

func conditions(status corev1.PodStatus) []corev1.PodCondition {
	ready := corev1.ConditionTrue
	for _, c := range status.ContainerStatuses {
		if !c.Ready {
			ready = corev1.ConditionFalse
		}
	}
	wanted := []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue},
		{Type: corev1.ContainersReady, Status: ready},
		{Type: corev1.PodReady, Status: ready},
	}
	for i := range wanted {
		wanted[i].LastTransitionTime = metav1.Now()
		for _, had := range status.Conditions {
			if had.Type == wanted[i].Type && had.Status == wanted[i].Status {
				wanted[i] = had
			}
		}
	}
	return wanted
}
