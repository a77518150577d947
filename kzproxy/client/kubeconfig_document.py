"""One kubeconfig file as text that keeps what it does not change.

Edited as YAML nodes, not as Python values: a value that is read and written back can change its
type (``on``, ``2026-01-01T00:00:00Z``), a node cannot. Comments are lost, as they are with kubectl.
"""

from collections.abc import Mapping

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.representer import SafeRepresenter

from kzproxy.client.failure import ClientFailure

Entry = dict[str, object]

# What the items of each list are called inside (client-go tools/clientcmd/api/v1/types.go).
SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}

_NULL_TAG = "tag:yaml.org,2002:null"
_NEW = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [],
    "contexts": [],
    "current-context": "",
    "preferences": {},
    "users": [],
}


class KubeconfigDocument:
    """A kubeconfig."""

    def __init__(self, root: MappingNode) -> None:
        self._root = root

    @classmethod
    def new(cls) -> "KubeconfigDocument":
        """Return one without entries."""
        node = _node(_NEW)
        assert isinstance(node, MappingNode)  # noqa: S101 - made of a dict
        return cls(node)

    @classmethod
    def parse(cls, text: str, source: str) -> "KubeconfigDocument":
        """Read a file's text; ``source`` names it in the failure.

        Raises:
            ClientFailure: It is not a kubeconfig.
        """
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, RecursionError) as error:
            line = " ".join(str(error).split())
            raise ClientFailure(f"{source} is not YAML: {line}") from None
        if root is None or (isinstance(root, ScalarNode) and root.tag == _NULL_TAG):
            return cls.new()
        if not isinstance(root, MappingNode):
            raise ClientFailure(f"{source} is not a kubeconfig")
        document = cls(root)
        for section in SECTIONS:
            document._check(section, source)
        return document

    def entry(self, section: str, name: str) -> Entry | None:
        """Return the entry ``name`` of a section as values; None where there is none.

        Raises:
            ClientFailure: A value in it is of no kind that kubectl's have.
        """
        item = self._item(section, name)
        content = _child(item, SECTIONS[section]) if item else None
        if content is None:
            return {} if item else None
        try:
            value = _value(content)
        except (ValueError, LookupError, OverflowError, yaml.YAMLError):  # of a tag, or as a date
            what = f"the kubeconfig's entry {name!r} in {section}"
            raise ClientFailure(f"{what} has a value that YAML cannot read") from None
        return value if isinstance(value, dict) else {}

    def put(self, section: str, name: str, entry: Mapping[str, object]) -> None:
        """Set the entry ``name`` of a section, in place or at the end."""
        item = self._item(section, name)
        if item is not None:
            _set(item, SECTIONS[section], _node(entry))
            return
        items = self._items(section)
        if items is None:
            items = SequenceNode("tag:yaml.org,2002:seq", [], flow_style=False)
            _set(self._root, section, items)
        items.flow_style = False
        items.value.append(_node({SECTIONS[section]: entry, "name": name}))

    @property
    def current_context(self) -> str:
        """Return the name of the current context, or an empty string."""
        node = _child(self._root, "current-context")
        return node.value if isinstance(node, ScalarNode) and node.tag != _NULL_TAG else ""

    @current_context.setter
    def current_context(self, name: str) -> None:
        _set(self._root, "current-context", _node(name))

    def text(self) -> str:
        """Return the file's new text."""
        return yaml.serialize(self._root, Dumper=yaml.SafeDumper, width=float("inf"))

    def _check(self, section: str, source: str) -> None:
        node = _child(self._root, section)
        if node is None or node.tag == _NULL_TAG:
            return
        if not isinstance(node, SequenceNode):
            raise ClientFailure(f"{source} is not a kubeconfig: {section} is not a list")
        if not all(isinstance(item, MappingNode) for item in node.value):
            raise ClientFailure(f"{source} is not a kubeconfig: {section} has a wrong item")

    def _items(self, section: str) -> SequenceNode | None:
        node = _child(self._root, section)
        return node if isinstance(node, SequenceNode) else None

    def _item(self, section: str, name: str) -> MappingNode | None:
        items = self._items(section)
        for item in items.value if items else []:
            found = _child(item, "name")
            if isinstance(found, ScalarNode) and found.value == name:
                assert isinstance(item, MappingNode)  # noqa: S101 - checked when read
                return item
        return None


def _child(node: Node, key: str) -> Node | None:
    if isinstance(node, MappingNode):
        pairs: list[tuple[Node, Node]] = node.value
        for name, value in pairs:
            if isinstance(name, ScalarNode) and name.value == key:
                return value
    return None


def _set(node: MappingNode, key: str, value: Node) -> None:
    node.flow_style = False
    for index, (name, _) in enumerate(node.value):
        if isinstance(name, ScalarNode) and name.value == key:
            node.value[index] = (name, value)
            return
    node.value.append((_node(key), value))


def _node(value: object) -> Node:
    representer = SafeRepresenter(default_flow_style=False, sort_keys=False)
    return representer.represent_data(value)


def _value(node: Node) -> object:
    return yaml.SafeLoader("").construct_object(node, deep=True)
