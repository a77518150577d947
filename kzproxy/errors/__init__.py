"""Every way a request can fail, each one Kubernetes Status; and the mistakes of files."""
