package nodelet

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// podEvents says what to do about pods; both are called from one goroutine, in order.
type podEvents struct {
	changed func(*corev1.Pod)
	gone    func(*corev1.Pod)
}

// watchPods follows the pods that match a field selector until ctx ends.
func watchPods(ctx context.Context, client kubernetes.Interface, selector string, events podEvents) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(
		func(o *metav1.ListOptions) { o.FieldSelector = selector }))
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { events.changed(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { events.changed(o.(*corev1.Pod)) },
		DeleteFunc: func(o any) {
			if last, missed := o.(cache.DeletedFinalStateUnknown); missed {
				o = last.Obj
			}
			if pod, ok := o.(*corev1.Pod); ok && events.gone != nil {
				events.gone(pod)
			}
		},
	})
	if err != nil {
		warn("cannot watch pods", err)
		return
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
}
