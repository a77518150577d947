"""kube-apiserver's own reading of a request line, asked of its Go code by a long-lived process."""

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInfoAnswer:
    """What Go makes of one request line.

    Attributes:
        http_error: Why net/http refuses the line (the API server answers 400); else empty.
        request_info_error: Why no RequestInfo can be made (it answers 500); else empty.
        lossy: A value held bytes that are not UTF-8, shown as U+FFFD; compare no such value.
        query: What Go's ``url.Query`` reads: malformed pairs are dropped.
        path: The decoded path, untrimmed.
    """

    http_error: str
    request_info_error: str
    lossy: bool
    method: str
    verb: str
    api_prefix: str
    api_group: str
    api_version: str
    namespace: str
    resource: str
    subresource: str
    name: str
    path: str
    is_resource_request: bool
    field_selector: str
    label_selector: str
    parts: tuple[str, ...]
    query: dict[str, list[str]]

    @property
    def refused(self) -> bool:
        """Tell whether kube-apiserver would refuse the request before judging it."""
        return bool(self.http_error or self.request_info_error)


class RequestInfoOracle:
    """Asks the ``requestinfo`` component of ``tests/cluster/controlplane``."""

    def __init__(self, directory: Path) -> None:
        """Start it from the binaries in ``directory``; ``close`` ends it."""
        self._process = subprocess.Popen(
            [directory / "requestinfo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, method: str | bytes, target: str | bytes) -> RequestInfoAnswer:
        """Return the reading of ``METHOD TARGET``; ``str`` goes out as Latin-1, byte for byte."""
        return self.ask_line(_bytes(method) + b" " + _bytes(target))

    def ask_line(self, line: bytes) -> RequestInfoAnswer:
        """Return the reading of a request line, given without its ``HTTP/1.1``, of any bytes."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(base64.b64encode(line) + b"\n")
        stdin.flush()
        answer = stdout.readline()
        assert answer, f"the oracle died: exit code {self._process.wait(timeout=5)}"
        return _read_answer(json.loads(answer))

    def close(self) -> None:
        """End the process."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _bytes(value: str | bytes) -> bytes:
    return value.encode("latin-1") if isinstance(value, str) else value


def _read_answer(fields: dict[str, Any]) -> RequestInfoAnswer:
    return RequestInfoAnswer(
        http_error=fields.get("httpError", ""),
        request_info_error=fields.get("requestInfoError", ""),
        lossy=fields.get("lossy", False),
        method=fields["method"],
        verb=fields["verb"],
        api_prefix=fields["apiPrefix"],
        api_group=fields["apiGroup"],
        api_version=fields["apiVersion"],
        namespace=fields["namespace"],
        resource=fields["resource"],
        subresource=fields["subresource"],
        name=fields["name"],
        path=fields["path"],
        is_resource_request=fields["isResourceRequest"],
        field_selector=fields["fieldSelector"],
        label_selector=fields["labelSelector"],
        parts=tuple(fields["parts"] or ()),
        query=fields["query"] or {},
    )
