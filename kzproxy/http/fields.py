"""Header lines and the framing they declare, read alike for requests and answers.

The two directions differ only in whose fault a bad line is, so the functions take the error class
to raise. All of them expect text that a head's grammar has already matched.
"""

import re

from kzproxy.errors.kinds import ProxyError
from kzproxy.http.messages import Chunked, Headers, Length

# One character of a token (RFC 9110 section 5.6.2), for use inside a regular expression.
TOKEN_CHARACTER = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"  # noqa: S105 - a grammar, not a secret

# A list of tokens (RFC 9110 section 5.6.1); empty elements are optional, so refused.
_TOKEN_LIST = re.compile(rf"{TOKEN_CHARACTER}++(?:[ \t]*+,[ \t]*+{TOKEN_CHARACTER}++)*")
# Only for text that the grammar has matched, hence so short: four times as fast as in full.
_FIELD = re.compile(r"([^:]+):[ \t]*([^\r]*)\r\n")
# Digits only, in their one canonical spelling: no sign, no list, no leading zero.
_CONTENT_LENGTH = re.compile(r"0|[1-9][0-9]{0,18}")
_MAX_CONTENT_LENGTH = 2**63 - 1


def split_fields(block: str) -> Headers:
    """Split header lines, each closed by CRLF; names become lower-case, values lose outer blanks.

    ``block`` must already have matched a head's grammar: nothing is checked again.
    """
    fields = _FIELD.findall(block)
    return tuple([(name.lower(), value.rstrip(" \t")) for name, value in fields])


def connection_tokens(values: list[str], error: type[ProxyError]) -> frozenset[str]:
    """Return the lower-case tokens of all ``Connection`` headers.

    Raises:
        error: A value is not a list of tokens.
    """
    tokens: set[str] = set()
    for value in values:
        if _TOKEN_LIST.fullmatch(value) is None:
            raise error("Connection is not a list of tokens")
        tokens.update(token.strip(" \t") for token in value.lower().split(","))
    return frozenset(tokens)


def declared_framing(
    lengths: list[str], codings: list[str], error: type[ProxyError]
) -> Length | Chunked | None:
    """Read ``Content-Length`` and ``Transfer-Encoding`` (RFC 9112 section 6); None where neither.

    A recipient may repair some conflicts. Two parsers repairing differently is request smuggling,
    so every conflict is refused: both headers, either one twice, or any coding but ``chunked``.

    Raises:
        error: The framing has no reading, or more than one.
    """
    if not lengths and not codings:
        return None
    if lengths and codings:
        raise error("Content-Length and Transfer-Encoding together")
    if codings:
        # Codings are case-insensitive (RFC 9112 section 7), and every parser we compared agrees.
        if len(codings) > 1 or codings[0].lower() != "chunked":
            raise error("Transfer-Encoding is not exactly: chunked")
        return Chunked()
    if len(lengths) > 1:
        raise error("more than one Content-Length")
    if _CONTENT_LENGTH.fullmatch(lengths[0]) is None or int(lengths[0]) > _MAX_CONTENT_LENGTH:
        raise error("Content-Length is not a plain number below 2^63")
    return Length(int(lengths[0]))
