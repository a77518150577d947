"""``kzproxy policy diff``."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
import yaml

from kzproxy.config.document import Mistakes
from kzproxy.policy.rules import AccessPolicySet
from kzproxy.policy_tools.definitions_used import Name
from kzproxy.policy_tools.difference import (
    DefinitionChange,
    PolicyDifference,
    difference,
)
from kzproxy.policy_tools.field_changes import FieldChange
from kzproxy.policy_tools.policy_text import Place, PolicyText, load_policy_text
from kzproxy.policy_tools.rule_change import Became, RuleChange
from kzproxy.policy_tools.shift import Shift

_EPILOG = """\b
Examples:
  kzproxy policy diff old.yaml new.yaml
  kzproxy policy diff <(git show main:policy.yaml) policy.yaml
  kzproxy policy diff --with networks.yaml old-rules.yaml new-rules.yaml
  kzproxy policy diff -o json ../main/policies policies

\b
Exits 0 where both mean the same, 1 where they differ, 2 where one cannot be read.
"can widen" says that a request that is refused now may be permitted, "can narrow"
the contrary; "may go either way" that both may be, or that it cannot be told. What
kube-apiserver permits is not looked at. `kzproxy policy replay` says what a change
would have done to requests that were really made.
"""
_PATH = click.Path(exists=True, path_type=Path)
_SIGNS = {Became.ADDED: "+", Became.REMOVED: "-"}
_ACCESS = {
    Shift.NONE: "changes no decision",
    Shift.WIDER: "can widen access",
    Shift.NARROWER: "can narrow access",
    Shift.EITHER: "may go either way",
}
_WORDS = {
    Shift.NONE: "none",
    Shift.WIDER: "can-widen",
    Shift.NARROWER: "can-narrow",
    Shift.EITHER: "either",
}
_KINDS = {"networks": "network", "calendars": "calendar", "tiers": "tier"}
_WIDE = 100
_PLAIN = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_./]*")

Places = Mapping[Name, Place]


@click.command(name="diff", epilog=_EPILOG)
@click.argument("old", type=_PATH)
@click.argument("new", type=_PATH)
@click.option(
    "--with",
    "common",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A file that belongs to both policies.",
)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def command(old: Path, new: Path, *, common: tuple[Path, ...], output: str) -> None:
    """Show what differs in meaning between the policies OLD and NEW, and what that can do.

    Each is a file, or a directory whose *.yaml files (but *.test.yaml) are one policy. Comments,
    spelling and the order of lists are no difference.
    """
    files = [(*_files(old), *common), (*_files(new), *common)]
    mistakes = Mistakes()
    (was, old_text), (is_now, new_text) = (load_policy_text(each, mistakes) for each in files)
    mistakes.raise_if_any()
    found = difference(was, is_now)
    if output == "json":
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        _show(found, [_places(old_text), _places(new_text)], (was, is_now))
    raise SystemExit(0 if found.is_empty else 1)


def _files(path: Path) -> tuple[Path, ...]:
    if not path.is_dir():
        return (path,)
    found = sorted(path.glob("*.yaml")) + sorted(path.glob("*.yml"))
    files = tuple(each for each in found if ".test." not in each.name)
    if not files:
        raise click.UsageError(f"{path} holds no policy; its files must end in .yaml")
    return files


def _places(text: PolicyText) -> Places:
    """Return where everything stands."""
    rules = {("rules", rule.id): rule.place for rule in text.rules}
    return rules | {(each.section, each.name): each.place for each in text.definitions}


def _show(
    found: PolicyDifference, places: Sequence[Places], policies: tuple[AccessPolicySet, ...]
) -> None:
    if found.is_empty:
        click.echo(f"no difference ({len(policies[1].rules)} rules, revision {found.revisions[1]})")
        return
    for definition in found.definitions:
        _show_definition(definition, places)
    for change in found.rules:
        _show_rule(change, places)
    for note in found.notes:
        click.echo(f"note: {note}")
    counted = [_counted(found.definitions, "definition"), _counted(found.rules, "rule")]
    what = " and ".join(each for each in counted if each)
    click.echo(f"{what}: {_ACCESS[found.access]}")


def _counted(changes: Sequence[object], what: str) -> str:
    return f"{len(changes)} {what}{'s' if len(changes) > 1 else ''}" if changes else ""


def _show_definition(change: DefinitionChange, places: Sequence[Places]) -> None:
    rules = f"used by {', '.join(change.rules)}" if change.rules else "used by no rule"
    where = _where(change.name, change.name, places)
    click.echo(f"{_SIGNS.get(change.became, '~')} {_named(change.name)}{where}: {rules}")
    for field in change.fields:
        _show_field(field)


def _show_rule(change: RuleChange, places: Sequence[Places]) -> None:
    sign = _SIGNS.get(change.became, "~")
    was = f" (was {change.was})" if change.was else ""
    where = _where(("rules", change.was or change.id), ("rules", change.id), places)
    head = f"{change.effect.value} rule {change.id}{was}{where}"
    click.echo(f"{sign} {head}: {_ACCESS[change.access]}")
    is_whole = change.became in _SIGNS
    for field in change.fields:
        if is_whole and field.path == "effect":
            continue  # which stands in the line above
        _show_field(field, "" if is_whole else f"   [{_ACCESS[field.access]}]")
    if change.through:
        click.echo(f"    through {', '.join(_named(name) for name in change.through)}")
    if change.is_moved:
        click.echo(f"    moved among the {change.effect.value} rules   [{_moved(change)}]")


def _moved(change: RuleChange) -> str:
    return (
        "what it permits may carry another rule's name and limits"
        if (change.effect.value == "allow")
        else "refusals may carry another rule's name"
    )


def _show_field(field: FieldChange, access: str = "") -> None:
    if field.old is None or field.new is None:
        sign, value = ("+", field.new) if field.old is None else ("-", field.old)
        click.echo(f"    {sign} {field.path}: {_flow(value)}{access}")
        return
    line = f"    {field.path}: {_flow(field.old)} -> {_flow(field.new)}{access}"
    if len(line) <= _WIDE:
        click.echo(line)
        return
    click.echo(f"    {field.path}:{access}")
    click.echo(f"      - {_flow(field.old)}")
    click.echo(f"      + {_flow(field.new)}")


def _flow(value: object) -> str:
    """Return a value as YAML writes it in one line, so that it can be copied into a file."""
    if isinstance(value, dict):
        inner = ", ".join(f"{name}: {_flow(each)}" for name, each in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(_flow(each) for each in value)}]"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if not isinstance(value, str) or _is_plain(text) else json.dumps(text)


def _is_plain(text: str) -> bool:
    """Whether YAML reads it as text without quotes."""
    return _PLAIN.fullmatch(text) is not None and yaml.safe_load(text) == text


def _named(name: Name) -> str:
    section, own = name
    return f"{_KINDS.get(section, 'condition')} {own}"


def _where(old: Name, new: Name, places: Sequence[Places]) -> str:
    was, is_now = places[0].get(old), places[1].get(new)
    known = [f"{each.source}:{each.line}" for each in (was, is_now) if each is not None]
    return f" ({' -> '.join(known)})" if known else ""


def _as_json(found: PolicyDifference) -> dict[str, object]:
    return {
        "identical": found.is_empty,
        "old_revision": found.revisions[0],
        "new_revision": found.revisions[1],
        "access": _WORDS[found.access],
        "definitions": [
            {
                "became": each.became.value,
                "section": each.name[0],
                "name": each.name[1],
                "fields": list(_json_fields(each.fields, with_access=False)),
                "rules": list(each.rules),
            }
            for each in found.definitions
        ],
        "rules": [_json_rule(each) for each in found.rules],
        "notes": list(found.notes),
    }


def _json_rule(change: RuleChange) -> dict[str, object]:
    return {
        "became": change.became.value,
        "id": change.id,
        "was": change.was,
        "effect": change.effect.value,
        "access": _WORDS[change.access],
        "fields": list(_json_fields(change.fields, with_access=True)),
        "through": [{"section": section, "name": name} for section, name in change.through],
        "moved": change.is_moved,
    }


def _json_fields(
    fields: Sequence[FieldChange], *, with_access: bool
) -> Iterator[dict[str, object]]:
    for each in fields:
        row: dict[str, object] = {"path": each.path, "old": each.old, "new": each.new}
        yield row | ({"access": _WORDS[each.access]} if with_access else {})
