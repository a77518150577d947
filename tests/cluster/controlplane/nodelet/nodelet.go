// Package nodelet is the test cluster's one node: Kubernetes' streaming server over local processes, not
// a kubelet.
//
// A container is a process on this machine, without isolation, in a directory of its own; its image is
// not looked at. Exec, attach and port-forward are served by k8s.io/cri-streaming and logs are read by
// k8s.io/cri-client, which are what the kubelet and the container runtimes use: what a client meets on
// the wire is the real thing. Only starting, ending and reporting processes is written here.
//
// Not there: images, volumes, service account tokens in files, restarts, probes, init and ephemeral
// containers, logs of a previous container, metrics.
package nodelet

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// stopTimeout bounds how long ending all pods may take once the node is told to stop.
const stopTimeout = 3 * time.Second

type options struct {
	kubeconfig  string
	name        string
	root        string
	listen      string
	certificate string
	key         string
	clientCA    string
	clientName  string
}

// Main runs the node until SIGTERM or SIGINT.
func Main(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return run(ctx, o)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("nodelet", flag.ContinueOnError)
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "how to reach the API server")
	flags.StringVar(&o.name, "node", "node-a", "the node's name")
	flags.StringVar(&o.root, "root", "", "directory for the containers' files and logs")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:10250", "loopback address to serve on")
	flags.StringVar(&o.certificate, "tls-cert-file", "", "serving certificate")
	flags.StringVar(&o.key, "tls-private-key-file", "", "its key")
	flags.StringVar(&o.clientCA, "client-ca-file", "", "CA of the API server's client certificate")
	flags.StringVar(&o.clientName, "client-name", "kube-apiserver-kubelet-client", "its common name")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, nil
}

func run(ctx context.Context, o options) error {
	client, err := apiClient(o.kubeconfig)
	if err != nil {
		return err
	}
	listener, err := listen(o)
	if err != nil {
		return err
	}
	address := listener.Addr().(*net.TCPAddr)
	pods := newPods(client, o.name, o.root)
	server := &http.Server{Handler: routes(pods), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	// The listener is open already, so that the node is Ready only when it can be reached.
	if err := register(ctx, client, o.name, address.IP.String(), int32(address.Port)); err != nil {
		return fmt.Errorf("cannot register node %s: %w", o.name, err)
	}
	go renewLease(ctx, client, o.name)
	go bindPods(ctx, client, o.name)
	go pods.follow(ctx)
	err = server.Serve(listener)
	pods.stopAll(stopTimeout)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func apiClient(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	// Tests make pods by the dozen; the defaults (5 and 10) would be what they wait for.
	config.QPS, config.Burst = 200, 400
	config.UserAgent = rest.DefaultKubernetesUserAgent() + " nodelet"
	return kubernetes.NewForConfig(config)
}

func warn(what string, err error) {
	fmt.Fprintf(os.Stderr, "%s nodelet: %s: %v\n", time.Now().UTC().Format(time.RFC3339Nano), what, err)
}

func loopback(port int32) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
}
