"""The ``obligations`` of an allow rule: a closed set."""

from datetime import timedelta

from kzproxy.config.document import Node
from kzproxy.config.policy_durations import read_duration
from kzproxy.config.policy_names import filled
from kzproxy.policy.obligations import NO_OBLIGATIONS, MultiFactor, Obligations
from kzproxy.policy.rules import Effect

_NAMES = (
    "mfa",
    "reauth",
    "reason",
    "maxSession",
    "idle",
    "readOnly",
    "dryRunOnly",
    "bound",
)


def read_obligations(node: Node, effect: Effect | None) -> Obligations:
    """Read them; one that is not known is a mistake, and nothing is permitted by the rule."""
    fields = node.mapping(optional=_NAMES)
    if effect is Effect.DENY:
        node.mistake("a deny rule lets nobody in, so that it has nothing to ask; leave them out")
        return NO_OBLIGATIONS
    if node.is_mapping() and not fields:
        node.mistake(f"name one of {', '.join(_NAMES)}, or leave obligations out")
    return Obligations(
        mfa=_mfa(fields["mfa"]) if "mfa" in fields else None,
        reauth=_max_age(fields["reauth"]) if "reauth" in fields else None,
        reason="reason" in fields and fields["reason"].choice(["required"]) == "required",
        max_session=read_duration(fields["maxSession"]) if "maxSession" in fields else None,
        idle=read_duration(fields["idle"]) if "idle" in fields else None,
        read_only=_only_true(fields, "readOnly"),
        dry_run_only=_only_true(fields, "dryRunOnly"),
        bound=_only_true(fields, "bound"),
    )


def _mfa(node: Node) -> MultiFactor:
    fields = node.mapping(optional=("maxAge", "classes", "methods"))
    if node.is_mapping() and not {"classes", "methods"} & fields.keys():
        node.mistake("name classes (acr) or methods (amr); for the age alone there is reauth")
    return MultiFactor(
        max_age=read_duration(fields["maxAge"]) if "maxAge" in fields else None,
        classes=_words(fields, "classes"),
        methods=_words(fields, "methods"),
    )


def _max_age(node: Node) -> timedelta:
    return read_duration(node.mapping(required=("maxAge",))["maxAge"])


def _words(fields: dict[str, Node], name: str) -> frozenset[str]:
    if name not in fields:
        return frozenset()
    return frozenset(item.string() for item in filled(fields[name], name))


def _only_true(fields: dict[str, Node], name: str) -> bool:
    if name not in fields:
        return False
    if not fields[name].boolean():
        fields[name].mistake("write true, or leave it out")
    return True
