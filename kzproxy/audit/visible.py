"""Make text from outside fit to be written down: bounded, and with nothing in it that acts.

A name or a header is chosen by whoever sends it. In a log it must not start a new line, move a
terminal's cursor, turn the direction of writing or fill a disk; and what a command or another
application is told in a query is not ours to keep.
"""

import re
from urllib.parse import unquote_plus

MAX_NAME_CHARS = 1024
"""Names, groups, ids and values of extras: over Kubernetes' own bounds for all of them."""

MAX_TEXT_CHARS = 1024
"""Sentences and User-Agent; kube-apiserver cuts User-Agent at 1024 too (audit/request.go)."""

MAX_TARGET_CHARS = 8192
"""Request targets and paths."""

MAX_FOREIGN_ID_CHARS = 64
"""An id that a client made up; klog cuts an Audit-ID at 64 as well (audit/context.go)."""

MAX_ITEMS = 1000
"""Entries of a list; what is left out is counted."""

MASK = "***"

_CUT_OR_ESCAPED = re.compile(r"\\|\.\.\.\[[0-9]+ more\]$")

# Query parameters that are written down: those that Kubernetes' own types define
# (meta/v1 List-, Get-, Delete-, Create-, Update- and PatchOptions; core/v1 PodLog-, PodExec-,
# PodAttach- and PodPortForwardOptions; healthz and OpenAPI). Any other may be a secret in the
# wrong place, such as ``access_token``, or be one itself, without a name.
_LOGGED_PARAMETERS = frozenset(
    {
        "allowWatchBookmarks",
        "command",
        "container",
        "continue",
        "dryRun",
        "exclude",
        "fieldManager",
        "fieldSelector",
        "fieldValidation",
        "follow",
        "force",
        "gracePeriodSeconds",
        "hash",
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "insecureSkipTLSVerifyBackend",
        "labelSelector",
        "limit",
        "limitBytes",
        "orphanDependents",
        "ports",
        "pretty",
        "previous",
        "propagationPolicy",
        "resourceVersion",
        "resourceVersionMatch",
        "sendInitialEvents",
        "sinceSeconds",
        "sinceTime",
        "stderr",
        "stdin",
        "stdout",
        "stream",
        "tailLines",
        "timeout",
        "timeoutSeconds",
        "timestamps",
        "tty",
        "verbose",
        "watch",
    }
)

# Those of kzproxy's own endpoints: whom an administrator asked for, and whose sessions they ended.
_OWN_PARAMETERS = frozenset({"device", "ended", "message", "state", "user"})


def visible(text: str, limit_chars: int = MAX_NAME_CHARS) -> str:
    r"""Return ``text`` cut at ``limit_chars``, with all that does not print written as an escape.

    What prints is what ``str.isprintable`` says: no C0 or C1 control, no line separator, no
    bidirectional or other invisible format character, no surrogate, no blank but the space.
    The escapes are Python's: ``\n``, ``\x1b``, ``\u202e``. What was cut off is counted.
    """
    if len(text) <= limit_chars and text.isprintable():
        return text
    if len(text) > limit_chars:
        left_out = len(text) - limit_chars
        return f"{visible(text[:limit_chars], limit_chars)}...[{left_out} more]"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def is_whole(text: str) -> bool:
    """Whether a text that was made visible is surely what it was before."""
    return _CUT_OR_ESCAPED.search(text) is None


def visible_all(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first ``MAX_ITEMS`` of ``texts``, each made visible.

    All at once where nothing has to be done: this is on the path of every request.
    """
    together = "".join(texts)
    if len(together) <= MAX_NAME_CHARS and together.isprintable() and len(texts) <= MAX_ITEMS:
        return texts
    return tuple([visible(text) for text in texts[:MAX_ITEMS]])


def logged_target(
    target: str, *, of_another_application: bool = False, is_own: bool = False
) -> str:
    """Return a canonical target as it may be written down.

    Of a command only its first word stays: what follows is the user's content. Parameters that
    Kubernetes does not define are masked, with their names; so is the whole query where it is meant
    for an application behind ``*/proxy``. Where the path ``is_own``, kzproxy's are kept instead.
    """
    path, question_mark, query = target.partition("?")
    if question_mark:
        kept = _OWN_PARAMETERS if is_own else _LOGGED_PARAMETERS
        masked = MASK if query and of_another_application else _masked_query(query, kept)
        path = f"{path}?{masked}"
    return visible(path, MAX_TARGET_CHARS)


def logged_raw_target(target: str) -> str:
    """Return a target that could not be read: its path, and none of its query."""
    path, mark, _ = target.partition("?")
    if "#" in path:  # A fragment should never have been sent; what stands in it may be a token.
        path, mark, _ = path.partition("#")
    return visible(f"{path}{mark}{MASK}" if mark else path, MAX_TARGET_CHARS)


def _masked_query(query: str, kept: frozenset[str]) -> str:
    masked: list[str] = []
    command_seen = False
    for pair in query.split("&"):
        name, equals, _ = pair.partition("=")
        decoded = unquote_plus(name)
        if pair and decoded not in kept:
            masked.append(MASK)
        elif decoded == "command" and command_seen and equals:
            masked.append(f"{name}={MASK}")
        else:
            masked.append(pair)
        command_seen = command_seen or decoded == "command"
    return "&".join(masked)
