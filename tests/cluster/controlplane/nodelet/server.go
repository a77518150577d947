package nodelet

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

const (
	// The kubelet's own: an idle stream is cut after four hours.
	streamIdleTimeout     = 4 * time.Hour
	streamCreationTimeout = 30 * time.Second
)

// listen opens the node's port to the API server's client certificate alone.
func listen(o options) (net.Listener, error) {
	certificate, err := tls.LoadX509KeyPair(o.certificate, o.key)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(o.clientCA)
	if err != nil {
		return nil, err
	}
	authority := x509.NewCertPool()
	if !authority.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", o.clientCA)
	}
	return tls.Listen("tcp", o.listen, &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{certificate},
		ClientCAs:    authority,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		// Streams take over their connection, which HTTP/2 does not allow.
		NextProtos: []string{"http/1.1"},
		VerifyConnection: func(state tls.ConnectionState) error {
			if name := state.PeerCertificates[0].Subject.CommonName; name != o.clientName {
				return fmt.Errorf("client certificate of %q, not of %q", name, o.clientName)
			}
			return nil
		},
	})
}

// routes are the kubelet's (k8s.io/kubernetes/pkg/kubelet/server), as far as they are served.
func routes(ps *pods) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", ps.serveLogs)
	for _, pod := range []string{"{namespace}/{pod}", "{namespace}/{pod}/{uid}"} {
		mux.HandleFunc("/exec/"+pod+"/{container}", ps.serveExec)
		mux.HandleFunc("/attach/"+pod+"/{container}", ps.serveAttach)
		mux.HandleFunc("/portForward/"+pod, ps.servePortForward)
	}
	return mux
}

func (ps *pods) serveExec(w http.ResponseWriter, r *http.Request) {
	c, options, ok := ps.remoteCommand(w, r)
	if !ok {
		return
	}
	argv := r.URL.Query()["command"]
	remotecommand.ServeExec(w, r, executor{c}, c.id, "", c.spec.Name, argv, options,
		streamIdleTimeout, streamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (ps *pods) serveAttach(w http.ResponseWriter, r *http.Request) {
	c, options, ok := ps.remoteCommand(w, r)
	if !ok {
		return
	}
	remotecommand.ServeAttach(w, r, attacher{c}, c.id, "", c.spec.Name, options,
		streamIdleTimeout, streamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

// remoteCommand finds the container while an ordinary answer can still say that it is not there.
func (ps *pods) remoteCommand(w http.ResponseWriter, r *http.Request) (*container, *remotecommand.Options, bool) {
	c, err := ps.container(podName(r), r.PathValue("container"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return nil, nil, false
	}
	if c.ended() {
		http.Error(w, errNotRunning.Error(), http.StatusBadRequest)
		return nil, nil, false
	}
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil, nil, false
	}
	return c, options, true
}

func (ps *pods) servePortForward(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, forwarder{}, podName(r).String(), "", options,
		streamIdleTimeout, streamCreationTimeout, portforward.SupportedProtocols)
}

func podName(r *http.Request) types.NamespacedName {
	return types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("pod")}
}
