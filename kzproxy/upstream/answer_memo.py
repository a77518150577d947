"""Remember the heads of answers: they repeat, but for ``Audit-Id``, until ``Date`` turns.

kube-apiserver gives back in ``Audit-Id`` what it was sent, which the client is told by kzproxy
itself; so that line is taken out before the head is looked up, and read.
"""

import re
from dataclasses import replace

import msgspec

from kzproxy.http.encode import EncodedAnswer
from kzproxy.http.messages import ResponseHead
from kzproxy.http.response_head import parse_response_head
from kzproxy.upstream.answer import client_headers

# As Go's net/http spells it (RFC 9110 section 5.1 lets others spell it otherwise: those heads are
# read each time).
_AUDIT_ID = re.compile(rb"\r\nAudit-Id: [\x21-\x7e]{1,64}(?=\r\n)")
_FIRST_FINAL_STATUS = 200


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer's head.

    Attributes:
        head: As it was read; without ``Audit-Id`` where there was one.
        relayed: The same as a client gets it, but for what is told by us.
    """

    head: ResponseHead
    relayed: EncodedAnswer


class AnswerMemo:
    """Reads heads of answers, each distinct one once while it is remembered.

    Reading depends on the bytes and the method alone, so no entry is ever out of date. Bounded in
    entries and bytes; when either bound is reached everything is forgotten.
    """

    __slots__ = ("_answers", "_bytes", "_max_answers", "_max_bytes")

    def __init__(self, *, max_answers: int = 1024, max_bytes: int = 1024 * 1024) -> None:
        # Of methods only HEAD makes a difference to how an answer is read.
        self._answers: dict[tuple[bool, bytes], Answer] = {}
        self._bytes = 0
        self._max_answers = max_answers
        self._max_bytes = max_bytes

    def read(self, data: bytes, *, method: str) -> Answer:
        """Return the head that ``data`` is, up to and including its empty line.

        Raises:
            UpstreamInvalid: As ``parse_response_head`` does; no refusal is remembered.
        """
        key = (method == "HEAD", _AUDIT_ID.sub(b"", data, count=1))
        known = self._answers.get(key)
        return self._read(key, method) if known is None else known

    def _read(self, key: tuple[bool, bytes], method: str) -> Answer:
        head = parse_response_head(key[1], method=method)
        relayed = EncodedAnswer.of(replace(head, headers=client_headers(head)))
        answer = Answer(head=head, relayed=relayed)
        size = len(key[1])
        if head.status >= _FIRST_FINAL_STATUS and size <= self._max_bytes:
            if len(self._answers) >= self._max_answers or self._bytes + size > self._max_bytes:
                self._answers.clear()
                self._bytes = 0
            self._answers[key] = answer
            self._bytes += size
        return answer
