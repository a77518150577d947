"""A bounded file to composed YAML nodes, which carry their places; nothing is constructed."""

from pathlib import Path

import yaml

from kzproxy.config.mistakes import Mistakes

# A Kubernetes object may not pass 1.5 MiB in etcd, so a mounted ConfigMap stays below this.
MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
# A policy needs eight.
_MAX_DEPTH = 50


def compose_file(path: Path, mistakes: Mistakes) -> list[yaml.Node]:
    """Compose the documents of a file; an unreadable or ill-formed one is a mistake and empty."""
    return _compose(_text(path, mistakes), str(path), mistakes)


def _text(path: Path, mistakes: Mistakes) -> str:
    mistakes.sources.look_at(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_DOCUMENT_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        mistakes.report(str(path), f"cannot be read: {reason}")
        return ""
    if len(data) > MAX_DOCUMENT_BYTES:
        mistakes.report(str(path), f"is larger than {MAX_DOCUMENT_BYTES} bytes")
        return ""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        mistakes.report(str(path), "is not UTF-8 text", line=line)
        return ""


class _Unfit(yaml.YAMLError):
    """Not for libyaml to compose."""


def _compose(text: str, source: str, mistakes: Mistakes) -> list[yaml.Node]:
    try:
        return _compose_quickly(text)
    except yaml.YAMLError:
        return _compose_or_say_why(text, source, mistakes)


def _compose_quickly(text: str) -> list[yaml.Node]:
    """Compose with libyaml, in a tenth of the time that the same takes in Python.

    Its own composer overflows the stack of the process where a text is nested deeply, and follows
    aliases, so its parser is asked about both first.

    Raises:
        yaml.YAMLError: There is something wrong.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH or isinstance(event, yaml.AliasEvent):
            raise _Unfit
    return list(yaml.compose_all(text, Loader=yaml.CSafeLoader))


class _Loader(yaml.SafeLoader):
    """Composes nodes only; nothing is constructed. An alias is an error."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, as the base class does."""
        if self.check_event(yaml.AliasEvent):
            # An alias can repeat without bound, or hold itself.
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call]
            message = "aliases are not read; write the value out"
            raise yaml.MarkedYAMLError(problem=message, problem_mark=mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def _compose_or_say_why(text: str, source: str, mistakes: Mistakes) -> list[yaml.Node]:
    found: list[yaml.Node] = []
    try:
        loader = _Loader(text)
        while loader.check_node():
            found.extend(node for node in [loader.get_node()] if node is not None)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        message = f"is not YAML: {error.problem or error.context}"
        mistakes.report(source, message, line=place[0], column=place[1])
        return []
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        mistakes.report(source, f"is not YAML: {error.reason}", line=line)
        return []
    except RecursionError:
        mistakes.report(source, "is nested too deeply")
        return []
    return found
