"""The ``sessions`` section: how long sessions hold that kzproxy keeps."""

from datetime import timedelta

from kzproxy.administrator.session import SessionSettings
from kzproxy.config.document import Node

_MAX_TOKEN_SECONDS = 300
_DAY_SECONDS = 24 * 3600
_MAX_PER_USER = 1000


def load_sessions(node: Node | None, *, has_sign_in: bool) -> SessionSettings:
    """Read the section; None is a configuration without it."""
    fields = {} if node is None else _fields(node)
    if node is not None and not has_sign_in:
        node.mistake("needs signIn: without it kzproxy keeps no sessions, and nothing here holds")
    default = SessionSettings()
    settings = SessionSettings(
        token=_seconds(fields, "tokenSeconds", 10, _MAX_TOKEN_SECONDS, default.token),
        absolute=_seconds(fields, "absoluteSeconds", 30, 30 * _DAY_SECONDS, default.absolute),
        idle=_seconds(fields, "idleSeconds", 20, 30 * _DAY_SECONDS, default.idle),
        per_user=fields["perUser"].integer(1, _MAX_PER_USER)
        if "perUser" in fields
        else default.per_user,
        reverify=_seconds(fields, "reverifySeconds", 5, _DAY_SECONDS, default.reverify),
        grace=_seconds(fields, "graceSeconds", 0, _DAY_SECONDS, default.grace),
    )
    if "idleSeconds" in fields and settings.idle <= settings.token:
        fields["idleSeconds"].mistake(
            "must be longer than tokenSeconds: a client that is used renews only so often"
        )
    return settings


def _fields(node: Node) -> dict[str, Node]:
    return node.mapping(
        optional=(
            "absoluteSeconds",
            "graceSeconds",
            "idleSeconds",
            "perUser",
            "reverifySeconds",
            "tokenSeconds",
        )
    )


def _seconds(
    fields: dict[str, Node], name: str, least: int, most: int, default: timedelta
) -> timedelta:
    return timedelta(seconds=fields[name].integer(least, most)) if name in fields else default
