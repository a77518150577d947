"""The way to kube-apiserver: credentials, connections and impersonation headers."""
