package main

import (
	_ "github.com/creack/pty"
	_ "k8s.io/apiserver/pkg/endpoints/request"
	_ "k8s.io/apiserver/pkg/util/flushwriter"
	_ "k8s.io/client-go/informers"
	_ "k8s.io/client-go/kubernetes"
	_ "k8s.io/client-go/tools/clientcmd"
	_ "k8s.io/cri-api/pkg/apis"
	_ "k8s.io/cri-api/pkg/apis/runtime/v1"
	_ "k8s.io/cri-client/pkg/logs"
	_ "k8s.io/cri-streaming/pkg/streaming/portforward"
	_ "k8s.io/cri-streaming/pkg/streaming/remotecommand"
	_ "k8s.io/utils/exec"
)
