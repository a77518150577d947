// Command upstream stands in for kube-apiserver where the proxy is what is measured: it answers at
// once, over TLS and HTTP/1.1, and counts what it is asked.
//
// The last segment of a path says what is wanted: "bytes-N" is answered with N bytes, "chunked-N"
// with N bytes in small chunks as kube-apiserver writes a list, anything else with a small object
// that names the user and the path it saw. A body sent is read to its end. "?watch=true" stays open.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	listen := flag.String("listen", "", "address for TLS")
	control := flag.String("control", "", "address for the benchmark itself, plain HTTP")
	certificate := flag.String("certificate", "", "PEM file")
	key := flag.String("key", "", "PEM file")
	tokenFile := flag.String("token-file", "", "the bearer token of whoever may impersonate")
	flag.Parse()

	token, err := os.ReadFile(*tokenFile)
	if err != nil {
		log.Fatal(err)
	}
	server := newServer(strings.TrimSpace(string(token)))
	go serveControl(*control, server)
	log.Fatal(serveTLS(*listen, *certificate, *key, server))
}

func serveTLS(address, certificate, key string, handler http.Handler) error {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	config := &tls.Config{
		Certificates:           []tls.Certificate{pair},
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true,
	}
	server := &http.Server{Handler: handler, IdleTimeout: time.Hour}
	return server.Serve(tls.NewListener(listener, config))
}

// serveControl answers the benchmark: nothing here is counted.
func serveControl(address string, server *server) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(server.counts())
	})
	mux.HandleFunc("POST /event", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%d\n", server.watchers.tellAll())
	})
	log.Fatal(http.ListenAndServe(address, mux))
}
