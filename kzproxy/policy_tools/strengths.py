"""The kinds of sign-in that a policy asks for, wherever it does."""

from collections.abc import Iterator

import msgspec

from kzproxy.policy.step_up import StepUp
from kzproxy.policy_tools.policy_text import PolicyText

_MOST_TEXTS = 4


class Strength(msgspec.Struct, frozen=True, kw_only=True):
    """What a sign-in would have to be like; empty is what it is like now."""

    wanted_class: str = ""
    methods: tuple[str, ...] = ()
    issuer: str = ""

    @property
    def command(self) -> str:
        """The command that asks for it; for other methods the user signs in anew."""
        classes = (self.wanted_class,) if self.wanted_class else ()
        return StepUp(acr_values=classes, methods=self.methods).command

    def words(self) -> str:
        """Say what is wanted."""
        return ", ".join(
            [
                *([f"class {self.wanted_class}"] if self.wanted_class else []),
                *(f"method {method}" for method in self.methods),
                *([f"issuer {self.issuer}"] if self.issuer else []),
            ]
        )


def strengths(text: PolicyText) -> list[Strength]:
    """Return what rules, their obligations, named conditions and tiers ask for, each once.

    First each by itself, as the first of what is enough for it, then all of them together. Of an
    expression that reads how somebody signed in, every text in it may be what it asks for.
    """
    asked = [value for value in _asked(text) if isinstance(value, dict)]
    found = dict.fromkeys(_strength(value) for value in asked)
    found |= dict.fromkeys(one for when in _expressions(text) for one in _in_expression(when))
    methods = tuple(dict.fromkeys(m for one in found for m in one.methods))
    together = {
        Strength(wanted_class=one.wanted_class, methods=methods, issuer=other.issuer): None
        for one in found
        for other in found
    }
    return [one for one in (found | together) if one != Strength()]


def asks_for_session(text: PolicyText) -> bool:
    """Whether anything asks for a session that kzproxy keeps."""
    asked = [value for value in _asked(text, "session") if isinstance(value, dict)]
    is_read = any("session.mode" in when for when in _expressions(text))
    return is_read or any("mode" in value for value in asked)


def _strength(value: dict[object, object]) -> Strength:
    methods = _words(value.get("methods"))[:1]
    return Strength(
        wanted_class="".join(_words(value.get("classes"))[:1]),
        methods=methods,
        issuer="".join(_words(value.get("issuers"))[:1]),
    )


def _asked(text: PolicyText, word: str = "authentication") -> Iterator[object]:
    for rule in text.rules:
        yield rule.conditions.get(word)
        if word == "authentication":
            yield rule.obligations.get("mfa")
    for definition in text.definitions:
        if isinstance(definition.value, dict):
            within = definition.value.get("conditions", definition.value)
            yield within.get(word) if isinstance(within, dict) else None


def _expressions(text: PolicyText) -> Iterator[str]:
    yield from (rule.when for rule in text.rules if rule.when)
    for definition in text.definitions:
        if isinstance(definition.value, dict) and "when" in definition.value:
            yield str(definition.value["when"])


def _in_expression(when: str) -> list[Strength]:
    # Here, because a policy without an expression does without the 14 MiB of CEL.
    from kzproxy.expressions.tree import Kind
    from kzproxy.policy.expression import LANGUAGE

    program = LANGUAGE.compile(when)
    nodes = (node for node in program.tree.nodes() if node.kind is Kind.CONSTANT)
    texts = dict.fromkeys(n.value for n in nodes if isinstance(n.value, str) and n.value)
    several = [text for text in texts if text.isprintable()][:_MOST_TEXTS]
    found = []
    if "authentication.acr" in program.reads:
        found += [Strength(wanted_class=text) for text in several]
    if "authentication.amr" in program.reads:
        found += [Strength(methods=(text,)) for text in several]
    return found


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()
