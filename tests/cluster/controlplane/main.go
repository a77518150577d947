// Command controlplane is etcd, kube-apiserver, kube-controller-manager, the test node and the
// RequestInfo oracle in one binary: linking them once costs a quarter of linking them apart. The name
// it is called by, or its first argument, picks the component.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "time/tzdata"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"

	"kzproxy.dev/tests/controlplane/nodelet"
	"kzproxy.dev/tests/controlplane/requestinfo"
)

var components = map[string]func() int{
	"etcd":                    func() int { etcdmain.Main(os.Args); return 0 },
	"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return cli.Run(controllermanager.NewControllerManagerCommand()) },
	"nodelet":                 func() int { return exitCode(nodelet.Main(os.Args[1:])) },
	"requestinfo":             func() int { return exitCode(requestinfo.Main(os.Stdin, os.Stdout)) },
}

func main() {
	run, known := components[filepath.Base(os.Args[0])]
	if !known && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		run, known = components[os.Args[0]]
	}
	if !known {
		names := slices.Sorted(maps.Keys(components))
		fmt.Fprintf(os.Stderr, "usage: controlplane %s [FLAG ...]\n", strings.Join(names, "|"))
		os.Exit(2)
	}
	os.Exit(run())
}

func exitCode(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
