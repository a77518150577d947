"""A zero-trust access proxy in front of kube-apiserver."""
