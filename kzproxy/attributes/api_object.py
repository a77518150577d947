"""What is known of the object that a request is about, where a rule asks for it."""

import msgspec

Labels = tuple[tuple[str, str], ...]


class ApiObject(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one object: of the pod that is entered, or of what a body would write.

    Attributes:
        labels: Of its metadata, sorted by key.
        service_account: That its pod runs as, ``default`` where it names none; empty where it is
            no pod and holds no pod template.
        privileged: Whether a container of it (init and ephemeral ones too) is privileged.
        host_namespaces: Whether it shares the network, process or IPC namespace of its node.
        images: Of all containers, in their order, then those that are mounted as volumes.
        is_patch: Whether only a patch is known, so that none of the above says what will be.
    """

    labels: Labels = ()
    service_account: str = ""
    privileged: bool = False
    host_namespaces: bool = False
    images: tuple[str, ...] = ()
    is_patch: bool = False
