"""Which of Kubernetes' own resources have no namespace.

A request without a namespace is either for a cluster-scoped resource or for all namespaces at
once; its path does not say which. A deny rule for one namespace must not be escaped by asking for
all of them, so it covers both, but for the resources named here, which no namespace can hold.
A resource that is missing here is only denied more often; one that is wrongly here is a hole.
"""

# The strategies and storages with ``NamespaceScoped`` false under pkg/registry of kubernetes 1.36,
# and the two of k8s.io/apiextensions-apiserver and k8s.io/kube-aggregator. ``namespaces`` is not
# among them: to kube-apiserver the namespace prod is an object in namespace prod.
_CLUSTER_SCOPED = {
    "": ("componentstatuses", "nodes", "persistentvolumes"),
    "admissionregistration.k8s.io": (
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    ),
    "apiextensions.k8s.io": ("customresourcedefinitions",),
    "apiregistration.k8s.io": ("apiservices",),
    "certificates.k8s.io": ("certificatesigningrequests", "clustertrustbundles"),
    "flowcontrol.apiserver.k8s.io": ("flowschemas", "prioritylevelconfigurations"),
    "networking.k8s.io": ("ingressclasses", "ipaddresses", "servicecidrs"),
    "node.k8s.io": ("runtimeclasses",),
    "rbac.authorization.k8s.io": ("clusterrolebindings", "clusterroles"),
    "resource.k8s.io": ("deviceclasses", "devicetaintrules", "resourceslices"),
    "scheduling.k8s.io": ("priorityclasses",),
    "storage.k8s.io": (
        "csidrivers",
        "csinodes",
        "storageclasses",
        "volumeattachments",
        "volumeattributesclasses",
    ),
}
CLUSTER_SCOPED = frozenset(
    (group, resource) for group, resources in _CLUSTER_SCOPED.items() for resource in resources
)
