"""What a list or watch takes from its query: the object's name that a field selector gives away.

kube-apiserver decodes the whole of ListOptions before it takes the name, and forgets the name if
any of them cannot be decoded (NewRequestInfo); it then answers 400 in any case. So what it could
not decode is refused here.
"""

import re

from kzproxy.attributes.query import Query
from kzproxy.errors.kinds import BadRequest

_NAME_FIELD = "metadata.name"
_INTEGER_KEYS = ("limit", "timeoutSeconds")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_LARGEST = 2**63 - 1

_TERM = re.compile(r"(?:[^\\,]|\\.|\\\Z)+", re.DOTALL)
_OPERATOR = re.compile(r"!=|==|=")
_ESCAPE = re.compile(r"\\([\\,=])")
_UNESCAPED = re.compile(r"[\\,=]")

# apimachinery pkg/labels/selector.go Parse, with the rules for label keys and values of
# pkg/api/validate/content. Blanks are possessive (" *+"), and what may follow a value never is
# part of one, so that no input makes it go back far: this runs before the caller is known.
_VALUE = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
_KEY = rf"(?:(?=[^/]{{1,253}}/){_DOMAIN}/)?{_VALUE}"
_SET = rf"\( *+(?:{_VALUE} *+)?(?:, *+(?:{_VALUE} *+)?)*\)"
_RESTRICTION = rf" *+(?:==?|!=) *+(?:{_VALUE})?| *+[<>] *+[0-9]{{1,18}}| ++(?:not)?in *+{_SET}"
_REQUIREMENT = rf" *+(?:! *+{_KEY}|{_KEY}(?:{_RESTRICTION})?) *+"
_LABEL_SELECTOR = re.compile(rf"{_REQUIREMENT}(?:,{_REQUIREMENT})*| *+")


def selected_name(query: Query) -> str:
    """Return the ``metadata.name`` that the field selector of a list or watch asks for.

    Empty where it asks for none, or for one that no path could hold.

    Raises:
        BadRequest: kube-apiserver could not decode the options.
    """
    for key in _INTEGER_KEYS:
        text = query.values.get(key)
        if text is not None:
            _check_integer(key, text)
    selector = query.values.get("fieldSelector")
    if not selector:
        return ""
    name = _required_name(selector)
    if not name or name in {".", ".."} or "/" in name or "%" in name:
        return ""
    if not _LABEL_SELECTOR.fullmatch(query.values.get("labelSelector") or ""):
        raise BadRequest("the labelSelector beside a metadata.name fieldSelector cannot be read")
    return name


def _check_integer(key: str, text: str) -> None:
    if not _INTEGER.fullmatch(text) or abs(int(text)) > _LARGEST:
        raise BadRequest(f"the query gives {key} a value that is not an integer")


def _required_name(selector: str) -> str | None:
    """Return what the first term on ``metadata.name`` requires; None where there is none.

    Terms are sorted before they are read, as in parseSelector of apimachinery
    pkg/fields/selector.go, so that "first" is Go's.
    """
    name: str | None = None
    for term in sorted(_TERM.findall(selector)):
        operator = _OPERATOR.search(term)
        if operator is None:
            raise _unreadable(term)
        value = _unescape(term[operator.end() :])
        field = term[: operator.start()]
        if name is None and field == _NAME_FIELD and operator[0] != "!=":
            name = value
    return name


def _unescape(value: str) -> str:
    r"""Resolve ``\\``, ``\,`` and ``\=``; no other escape, and none of the three without it."""
    if _UNESCAPED.search(_ESCAPE.sub("", value)):
        raise _unreadable(value)
    return _ESCAPE.sub(r"\1", value)


def _unreadable(term: str) -> BadRequest:
    return BadRequest("the fieldSelector cannot be read", detail=ascii(term))
