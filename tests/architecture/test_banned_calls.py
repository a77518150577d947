"""Calls that are never made, because of what they do where it cannot be seen."""

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "kzproxy"


def calls() -> Iterator[tuple[Path, ast.Call, str]]:
    """Every call in the package, with its dotted name."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path, node, ast.unparse(node.func)


def test_the_walk_sees_the_package() -> None:
    assert len({path for path, _, _ in calls()}) > 100


def test_a_tls_socket_is_never_shut_down() -> None:
    """``SSLSocket.shutdown`` drops TLS: the next send goes out in plain text.

    ``socket.socket.shutdown(sock, ...)`` is the layer below and is not it; executors' and
    servers' ``shutdown`` are on other objects and are named here.
    """
    allowed = {"socket.socket.shutdown"}
    found = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path, _, name in calls()
        if name.endswith(".shutdown") and name not in allowed and path.parts[-2] == "transport"
    }

    assert found == set()


def test_no_code_is_made_from_text() -> None:
    names = {name for _, _, name in calls()}

    assert names.isdisjoint({"eval", "exec", "compile", "pickle.loads", "yaml.load", "os.system"})


def test_no_subprocess_goes_through_a_shell() -> None:
    for path, call, _ in calls():
        for keyword in call.keywords:
            shell = keyword.arg == "shell" and ast.unparse(keyword.value) != "False"
            assert not shell, path


def test_tls_verification_is_never_switched_off() -> None:
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text()
        assert "CERT_NONE" not in source, path
        assert "check_hostname = False" not in source, path
        assert "verify=False" not in source, path


def test_no_python_is_started_that_takes_modules_from_the_present_directory() -> None:
    """``-m`` puts it first, where a cloned repository may have a ``webbrowser.py``; ``-P`` not."""
    before: list[str] = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.List | ast.Tuple):
                words = [ast.unparse(each) for each in node.elts]
                before += [one for one, word in itertools.pairwise(words) if word == "'-m'"]

    assert len(before) > 5
    assert set(before) == {"'-P'"}
