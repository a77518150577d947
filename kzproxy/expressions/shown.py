"""Values as text for people: as CEL writes them, bounded, with nothing in them that acts."""

from datetime import datetime, timedelta
from typing import Any

from cel_expr_python import cel

from kzproxy.expressions.checks import quoted
from kzproxy.expressions.errors import ExpressionFailedError

MAX_CHARACTERS = 80
MAX_ITEMS = 5
_UNITS = (("h", 3600), ("m", 60), ("s", 1))


def shown(value: object) -> str:
    """Return the text of a value that an expression reads or gives."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{_several([shown(item) for item in value[:MAX_ITEMS]], len(value))}]"
    if isinstance(value, dict):
        pairs = [(key, value[key]) for key in sorted(value)[:MAX_ITEMS]]
        texts = [f"{shown(key)}: {shown(item)}" for key, item in pairs]
        return f"{{{_several(texts, len(value))}}}"
    return _plain(value)


def shown_result(result: Any) -> str:
    """Return the text of what the library gives.

    Raises:
        ExpressionFailedError: It is nothing that can be shown.
    """
    return shown(_python(result))


def _python(result: Any) -> object:
    """Convert, type first: of some types the library has nothing for Python."""
    kind = result.type()
    if kind == cel.Type.NULL:
        return None
    if kind in (cel.Type.BOOL, cel.Type.STRING, cel.Type.INT, cel.Type.DURATION):
        return result.value()
    if kind == cel.Type.TIMESTAMP:
        return result.value()
    if str(kind.name()).startswith("LIST"):
        return [_python(item) for item in result.value()]
    raise ExpressionFailedError(f"a {str(kind.name()).lower()} is not shown")


def _plain(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, timedelta):
        return _duration(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _text(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return quoted(text)
    return f"{quoted(text[:MAX_CHARACTERS])} and {len(text) - MAX_CHARACTERS} more characters"


def _several(texts: list[str], count: int) -> str:
    more = [f"{count - len(texts)} more"] if count > len(texts) else []
    return ", ".join([*texts, *more])


def _duration(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    sign, rest, texts = "-" if seconds < 0 else "", abs(seconds), []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            texts.append(f"{count}{unit}")
    return sign + ("".join(texts) or "0s")
