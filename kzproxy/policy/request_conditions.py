"""Conditions on what a request is like beside its target, and on its object."""

# ruff: noqa: D102 - what the methods do is said of Condition

from collections.abc import Sequence

from kzproxy.attributes.request_info import StreamKind
from kzproxy.policy.condition import Timeless, all_hold
from kzproxy.policy.decision import Dependency
from kzproxy.policy.glob import Names
from kzproxy.policy.rules import ObjectFeatures, RequestFeatures
from kzproxy.policy.view import RequestView


class LikeRequest(Timeless):
    """The request has certain features beside its target.

    A container that is not named is one that nobody here knows, and so is a client without a name.
    """

    name = "request"
    about = Dependency.REQUEST
    depends_on = frozenset({Dependency.REQUEST})

    def __init__(self, features: RequestFeatures) -> None:
        self._features = features
        self._user_agents = Names(features.user_agents) if features.user_agents else None
        self._commands = Names(features.commands) if features.commands else None
        self._containers = Names(features.containers) if features.containers else None

    def value(self, view: RequestView) -> bool | None:
        request = view.attributes.request
        commands, dry_run = self._commands, self._features.dry_run
        is_exec = request.stream is StreamKind.EXEC
        return all_hold(
            [
                _one_of(self._user_agents, view.attributes.environment.user_agent),
                dry_run is None or request.is_dry_run is dry_run,
                commands is None or (is_exec and commands.hold(" ".join(request.command))),
                _one_of(self._containers, request.container),
            ]
        )

    def asked(self) -> str:
        features = self._features
        words = {
            "user agent": " or ".join(features.user_agents),
            "command": " or ".join(features.commands),
            "container": " or ".join(features.containers),
        }
        parts = [f"{what} {patterns}" for what, patterns in words.items() if patterns]
        if features.dry_run is not None:
            parts.append("a dry run" if features.dry_run else "no dry run")
        return " and ".join(parts)

    def found(self, view: RequestView) -> str:
        request = view.attributes.request
        parts = []
        if self._user_agents is not None:
            parts.append(f"user agent {view.attributes.environment.user_agent or 'none'}")
        if self._features.dry_run is not None:
            parts.append("a dry run" if request.is_dry_run else "no dry run")
        if self._commands is not None:
            parts.append(f"command {' '.join(request.command[:1]) or 'none'}")
        if self._containers is not None:
            parts.append(f"container {request.container or 'none named'}")
        return f"this has {', '.join(parts)}"


def _one_of(names: Names | None, found: str) -> bool | None:
    if names is None:
        return True
    return names.hold(found) if found else None


def _each_of(names: Names, found: Sequence[str]) -> bool | None:
    """Whether all of several fit; None where only some do, so that no rule is passed by mixing."""
    fits = {names.hold(each) for each in found}
    return None if len(fits) > 1 else True in fits


class LikeObject(Timeless):
    """The object of the request has certain features."""

    name = "object"
    about = Dependency.OBJECT
    depends_on = frozenset({Dependency.OBJECT})

    def __init__(self, features: ObjectFeatures) -> None:
        self._features = features
        self._accounts = Names(features.service_accounts) if features.service_accounts else None
        self._images = Names(features.images) if features.images else None

    def value(self, view: RequestView) -> bool | None:
        found, features = view.attributes.api_object, self._features
        if found is None or found.is_patch:
            return None
        accounts, images = self._accounts, self._images
        return all_hold(
            [
                features.privileged is None or found.privileged is features.privileged,
                features.host_namespaces is None
                or found.host_namespaces is features.host_namespaces,
                accounts is None or accounts.hold(found.service_account),
                images is None or _each_of(images, found.images),
                features.labels is None or features.labels.selects(found.labels),
            ]
        )

    def asked(self) -> str:
        features = self._features
        parts = [
            word
            for word, wanted in (
                ("privileged", features.privileged),
                ("in the node's namespaces", features.host_namespaces),
            )
            if wanted is not None
            for word in [word if wanted else f"not {word}"]
        ]
        if features.service_accounts:
            parts.append(f"with service account {' or '.join(features.service_accounts)}")
        if features.images:
            parts.append(f"with an image {' or '.join(features.images)}")
        if features.labels is not None:
            parts.append("with certain labels")
        return f"an object {' and '.join(parts)}"

    def found(self, view: RequestView) -> str:
        found = view.attributes.api_object
        if found is None:
            return "the object could not be had"
        if found.is_patch:
            return "of a patch nobody can tell what it makes, of a whole object one can"
        return (
            f"it is {'' if found.privileged else 'not '}privileged,"
            f" {'' if found.host_namespaces else 'not '}in the node's namespaces,"
            f" its service account is {found.service_account or 'none'}"
        )
