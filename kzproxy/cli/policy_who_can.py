"""``kzproxy policy who-can``."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from kzproxy.cli.policy_flow import flow
from kzproxy.cli.policy_options import POLICIES
from kzproxy.errors.kinds import BadRequest, NotServed
from kzproxy.policy.rules import EVERYONE
from kzproxy.policy.vocabulary import RESOURCE_VERBS, URL_VERBS
from kzproxy.policy_tools.who_can import Answer, Question, Reaching, load_and_ask

_EPILOG = """\b
Examples:
  kzproxy policy who-can -p policy.yaml get secrets -n prod
  kzproxy policy who-can -p policy.yaml delete deployments.apps web -n prod
  kzproxy policy who-can -p policy.yaml connect pods/exec
  kzproxy policy who-can -p policy.yaml list pods --all-namespaces
  kzproxy policy who-can -p policy.yaml get /metrics

\b
Exits 0 where somebody can, 1 where nobody can, 2 where it was called wrongly or the policy
cannot be read. Without -n it answers for any namespace, and says which rule is limited to which.
"""
_KINDS = {
    "users": "user",
    "groups": "group",
    "serviceAccounts": "service account",
    "spiffeIDs": "workload",
}
_VERBS = sorted({*RESOURCE_VERBS, *URL_VERBS})


@click.command(name="who-can", epilog=_EPILOG)
@click.argument("verb", type=click.Choice(_VERBS), metavar="VERB")
@click.argument("resource")
@click.argument("name", default="")
@POLICIES
@click.option("-n", "--namespace", help="In this namespace.")
@click.option(
    "-A",
    "--all-namespaces",
    is_flag=True,
    help="In all namespaces at once; also for resources that have none.",
)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def command(
    verb: str,
    resource: str,
    name: str,
    *,
    policies: tuple[Path, ...],
    namespace: str | None,
    all_namespaces: bool,
    output: str,
) -> None:
    """Show which subjects of a policy can do VERB on RESOURCE, and under which conditions.

    RESOURCE is written as kubectl does, with its group after a dot and a subresource after a
    slash (pods, pods/log, deployments.apps, deployments.apps/scale), or is a URL path.
    """
    if namespace and all_namespaces:
        raise click.UsageError("--namespace and --all-namespaces do not go together")
    words = URL_VERBS if resource.startswith("/") else RESOURCE_VERBS
    if verb not in words:
        raise click.UsageError(
            f"{resource} is never asked for by {verb}; it has {', '.join(words)}"
        )
    question = _question(verb, resource, name, "" if all_namespaces else namespace)
    try:
        answer = load_and_ask(policies, question)
    except (BadRequest, NotServed, ValueError) as error:
        raise click.UsageError(f"nobody can ask for that: {error}") from error
    if output == "json":
        click.echo(json.dumps(_json(answer), indent=2))
    else:
        for line in _lines(answer, question):
            click.echo(line)
    raise SystemExit(0 if answer.grants else 1)


def _question(verb: str, resource: str, name: str, namespace: str | None) -> Question:
    if resource.startswith("/"):
        return Question(verb=verb, resource=resource)
    kind, slash, subresource = resource.partition("/")
    plural, _, group = kind.partition(".")
    return Question(
        verb=verb,
        resource=plural + slash + subresource,
        group=group,
        namespace=namespace,
        name=name,
    )


def _lines(answer: Answer, question: Question) -> Iterator[str]:
    if not answer.grants:
        yield f"Nobody can {question.verb} {question.resource}: no allow rule is left."
    for grant in answer.grants:
        yield from _rule_lines(grant, "allows", "if")
    if answer.exceptions:
        yield "Except where a deny rule, which always wins, applies:"
    for exception in answer.exceptions:
        yield from _rule_lines(exception, "denies", "if")
    if answer.grants:
        yield (
            "kube-apiserver judges after kzproxy: its RBAC, which is not known here, must permit"
            " it too. Ask it: kubectl auth can-i --as USER"
        )


def _rule_lines(found: Reaching, does: str, conjunction: str) -> Iterator[str]:
    for subject in found.subjects:
        yield subject_text(subject)
    place = f"{found.place.source}:{found.place.line}"
    yield f"    {does}: rule {found.rule} ({place})"
    for limit in found.limits:
        yield "    only in: " + flow(limit)
    for name, value in found.conditions.items():
        yield f"    {conjunction}: {name} {flow(value)}"
    for name, value in found.obligations.items():
        yield f"    must: {name} {flow(value)}"


def subject_text(subject: tuple[str, str]) -> str:
    """Return a subject in words."""
    kind, name = subject
    if subject == ("groups", EVERYONE):
        return "everyone who is signed in"
    return f"{_KINDS.get(kind, kind)} {name}"


def _json(answer: Answer) -> dict[str, object]:
    return {
        "grants": [_reaching_json(found) for found in answer.grants],
        "exceptions": [_reaching_json(found) for found in answer.exceptions],
        "rbac": "unknown",
    }


def _reaching_json(found: Reaching) -> dict[str, object]:
    return {
        "rule": found.rule,
        "source": found.place.source,
        "line": found.place.line,
        "column": found.place.column,
        "subjects": [{"kind": kind, "name": name} for kind, name in found.subjects],
        "limits": list(found.limits),
        "conditions": found.conditions,
        "obligations": found.obligations,
    }
