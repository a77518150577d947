"""The expressions of issuers, read when the first of them is: CEL weighs 14 MiB.

Everything is as ``expressions`` says, which only an issuer with an expression has imported.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kzproxy.attributes.identity import ExtraValues

if TYPE_CHECKING:
    from kzproxy.expressions.language import Facts, Program


def claims_value(text: str) -> "Program":
    """Compile an expression that maps claims to a name or to names."""
    from kzproxy.authentication import expressions

    return expressions.claims_value(text)


def claims_rule(text: str) -> "Program":
    """Compile an expression that says whether claims are taken."""
    from kzproxy.authentication import expressions

    return expressions.claims_rule(text)


def user_rule(text: str) -> "Program":
    """Compile an expression that says whether a user is taken."""
    from kzproxy.authentication import expressions

    return expressions.user_rule(text)


def selects(program: "Program", claim: str) -> bool:
    """Tell whether an expression selects a claim by name."""
    from kzproxy.authentication import expressions

    return expressions.selects(program, claim)


def reads_claim(program: "Program", claim: str) -> bool:
    """Tell whether an expression reads a claim, by whatever spelling."""
    from kzproxy.authentication import expressions

    return expressions.reads_claim(program, claim)


def claims_facts(program: "Program", claims: Mapping[str, object]) -> "Facts":
    """Return the values that an expression over claims reads."""
    from kzproxy.authentication import expressions

    return expressions.claims_facts(program, claims)


def user_facts(
    username: str, uid: str, groups: tuple[str, ...], extra: ExtraValues, token_id: str
) -> "Facts":
    """Return the values of ``user``."""
    from kzproxy.authentication import expressions

    return expressions.user_facts(username, uid, groups, extra, token_id)
