package nodelet

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// bindPods gives every pod that no one has placed to this node: all the scheduling that one node needs.
func bindPods(ctx context.Context, client kubernetes.Interface, node string) {
	watchPods(ctx, client, "spec.nodeName=,spec.schedulerName="+corev1.DefaultSchedulerName, podEvents{
		changed: func(pod *corev1.Pod) {
			if pod.DeletionTimestamp == nil {
				go bind(ctx, client, pod, node)
			}
		},
	})
}

func bind(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, node string) {
	err := client.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		warn("cannot bind pod "+pod.Namespace+"/"+pod.Name, err)
	}
}
