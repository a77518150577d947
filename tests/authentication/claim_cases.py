"""Entries of an AuthenticationConfiguration with tokens for them, to be read by two programs."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """An entry and claims of tokens.

    Attributes:
        entry: All but ``issuer``.
        tokens: Both programs must make the same user of each, or both refuse it.
        stricter: Tokens that kube-apiserver takes and kzproxy refuses, as its reference tells.
        any_claims: Whether they agree on any claims, so that random ones may be tried.
    """

    name: str
    entry: dict[str, Any]
    tokens: list[dict[str, Any]]
    stricter: list[dict[str, Any]] = field(default_factory=list)
    any_claims: bool = True


def mapped(username: str, **more: Any) -> dict[str, Any]:
    mappings: dict[str, Any] = {"username": {"expression": username}}
    for name in ("groups", "uid"):
        if name in more:
            mappings[name] = {"expression": more.pop(name)}
    if "extra" in more:
        mappings["extra"] = [
            {"key": key, "valueExpression": value} for key, value in more.pop("extra").items()
        ]
    return {"claimMappings": mappings, **more}


def claim_rule(expression: str, message: str = "") -> dict[str, Any]:
    return {"claimValidationRules": [{"expression": expression, "message": message}]}


def user_rule(expression: str) -> dict[str, Any]:
    return {"userValidationRules": [{"expression": expression, "message": "no"}]}


def value(expression: str) -> dict[str, Any]:
    """Show the result of an expression as an extra."""
    return mapped("claims.sub", extra={"example.com/v": expression})


CASES = [
    Case(
        "claims with prefixes",
        {
            "claimMappings": {
                "username": {"claim": "sub", "prefix": "p:"},
                "groups": {"claim": "groups", "prefix": "g:"},
                "uid": {"claim": "uid"},
            },
            "claimValidationRules": [{"claim": "hd", "requiredValue": "example.com"}],
        },
        [
            {"uid": "1", "hd": "example.com"},
            {"uid": "1", "hd": "example.com", "groups": "one"},
            {"uid": "1", "hd": "example.com", "groups": ["one", "two"]},
            {"uid": "1", "hd": "example.com", "groups": None},
            {"uid": "1", "hd": "example.com", "groups": []},
            {"uid": "1", "hd": "example.com", "groups": [1]},
            {"uid": "1", "hd": "example.com", "groups": {"a": "b"}},
            {"uid": 1, "hd": "example.com"},
            {"uid": "1", "hd": "example.org"},
            {"uid": "1"},
            {"hd": "example.com"},
            {"uid": "1", "hd": "example.com", "sub": 5},
        ],
        [{"uid": "1", "hd": "example.com", "groups": names} for names in ("", ["a", None], [None])],
    ),
    Case(
        "username",
        mapped("claims.name"),
        [
            {"name": "alice"},
            {"name": "Žofie@example.com"},
            {"name": ""},
            {"name": None},
            {"name": 5},
            {"name": True},
            {"name": ["alice"]},
            {},
        ],
        [{"name": " alice"}, {"name": "system:admin"}, {"name": "a\nb"}, {"name": "a\0b"}],
    ),
    Case(
        "username in parts",
        mapped('claims.sub + ":" + claims.org.name'),
        [{"org": {"name": "x"}}, {"org": {"name": 1}}, {"org": {}}, {"org": None}, {}],
    ),
    Case(
        "username by a choice",
        mapped('claims.?name.orValue("") != "" ? "n:" + claims.name : "s:" + claims.sub'),
        [{"name": "a"}, {"name": ""}, {"name": None}, {"name": 3}, {}],
    ),
    Case(
        "address that must be verified",
        mapped(
            "claims.email",
            **claim_rule("claims.?email_verified.orValue(true) == true", "email not verified"),
        ),
        [
            {"email": "a@example.com"},
            {"email": "a@example.com", "email_verified": True},
            {"email": "a@example.com", "email_verified": False},
            {"email": "a@example.com", "email_verified": "true"},
            {"email": "a@example.com", "email_verified": None},
            {"email": "a@example.com", "email_verified": 1},
        ],
    ),
    Case(
        "groups",
        mapped("claims.sub", groups="claims.groups"),
        [
            {"groups": "one"},
            {"groups": ["one", "two"]},
            {"groups": ["one", ""]},
            {"groups": [""]},
            {"groups": []},
            {"groups": ""},
            {"groups": None},
            {"groups": 5},
            {"groups": 0},
            {"groups": False},
            {"groups": {"a": "b"}},
            {"groups": ["one", 2]},
            {"groups": ["one", None]},
            {"groups": [["one"]]},
            {},
        ],
        [{"groups": ["system:masters"]}, {"groups": ["a\0b"]}],
    ),
    Case(
        "groups of several claims",
        mapped(
            "claims.sub",
            groups="(claims.roles.split(',') + claims.more.split(',')).map(r, 'role:' + r)",
        ),
        [
            {"roles": "a,b", "more": "c"},
            {"roles": "", "more": ""},
            {"roles": ["a"], "more": "c"},
            {"roles": "a"},
        ],
    ),
    Case(
        "groups filtered",
        mapped("claims.sub", groups="dyn(claims.roles).filter(r, r.startsWith('k8s-'))"),
        [{"roles": ["k8s-a", "b"]}, {"roles": []}, {"roles": [1]}, {"roles": "k8s-a"}, {}],
    ),
    Case(
        "groups or none",
        mapped("claims.sub", groups="claims.?roles.orValue([])"),
        [{"roles": ["a"]}, {"roles": "a"}, {"roles": None}, {}],
    ),
    Case(
        "groups of a claim within a claim",
        mapped("claims.sub", groups="claims.realm.roles.map(r, 'r:' + r)"),
        [{"realm": {"roles": ["a"]}}, {"realm": {"roles": "a"}}, {"realm": 1}],
    ),
    Case(
        "groups added up",
        mapped("claims.sub", groups="claims.a + claims.b"),
        [{"a": ["x"], "b": ["y"]}, {"a": "x", "b": "y"}, {"a": ["x"], "b": "y"}, {"a": 1, "b": 2}],
    ),
    Case(
        "groups of nested lists",
        mapped("claims.sub", groups="claims.realm.roles"),
        [{"realm": {"roles": ["a", "b"]}}, {"realm": {"roles": {}}}, {"realm": []}, {"realm": {}}],
    ),
    Case(
        "groups in a literal",
        mapped("claims.sub", groups="['team:' + claims.team, 'all']"),
        [{"team": "a"}, {"team": 5}, {}],
    ),
    Case(
        "uid",
        mapped("claims.sub", uid="claims.oid"),
        [{"oid": "u-1"}, {"oid": ""}, {"oid": 5}, {"oid": None}, {"oid": ["u"]}, {}],
    ),
    Case(
        "extra",
        mapped(
            "claims.sub",
            extra={"example.com/a": "claims.a", "example.com/b": "claims.?b.orValue('')"},
        ),
        [
            {"a": "x"},
            {"a": "x", "b": "y"},
            {"a": ["x", "y"], "b": []},
            {"a": ["x", ""]},
            {"a": None, "b": None},
            {"a": "", "b": ""},
            {"a": 1},
            {"a": True},
            {"a": {"x": "y"}},
            {},
        ],
    ),
    Case(
        "required number",
        mapped("claims.sub", **claim_rule("claims.level >= 3")),
        [
            {"level": 3},
            {"level": 2},
            {"level": 3.5},
            {"level": "3"},
            {"level": None},
            {"level": True},
            {"level": 10**30},
            {"level": -1},
            {},
        ],
    ),
    Case(
        "number that equals",
        mapped("claims.sub", **claim_rule("claims.level == 9007199254740993")),
        [{"level": 9007199254740993}, {"level": 9007199254740992}, {"level": "x"}],
    ),
    Case(
        "equality of anything",
        mapped("claims.sub", **claim_rule("claims.a == claims.b")),
        [
            {"a": 1, "b": 1.0},
            {"a": 1, "b": "1"},
            {"a": 1, "b": True},
            {"a": None, "b": None},
            {"a": None, "b": False},
            {"a": [1, "x"], "b": [1.0, "x"]},
            {"a": {"x": [1]}, "b": {"x": [1]}},
            {"a": {"x": 1}, "b": {"x": 1, "y": 2}},
            {"a": "é", "b": "e\u0301"},
        ],
    ),
    Case(
        "membership",
        mapped("claims.sub", **claim_rule("claims.hd in ['a', 'b'] && !('x' in claims.roles)")),
        [
            {"hd": "a", "roles": []},
            {"hd": "c", "roles": []},
            {"hd": 1, "roles": ["y"]},
            {"hd": "a", "roles": ["x"]},
            {"hd": "a", "roles": {"x": 1}},
            {"hd": "a", "roles": {}},
            {"hd": "a", "roles": "x"},
            {"hd": "a"},
        ],
    ),
    Case(
        "presence",
        mapped(
            "claims.sub",
            **claim_rule("has(claims.a) && has(claims.b.c) && !has(claims.d)"),
        ),
        [
            {"a": None, "b": {"c": 1}},
            {"a": 1, "b": {}},
            {"a": 1, "b": 1},
            {"a": 1, "b": {"c": 1}, "d": None},
            {"b": {"c": 1}},
        ],
    ),
    Case(
        "walks",
        mapped(
            "claims.sub",
            **claim_rule(
                "dyn(claims.roles).all(r, r != 'bad') && dyn(claims.roles).exists_one(r, r == 'x')"
            ),
        ),
        [
            {"roles": ["x"]},
            {"roles": ["x", "x"]},
            {"roles": ["x", "bad"]},
            {"roles": ["x", 1]},
            {"roles": {"x": 1}},
            {"roles": "x"},
            {"roles": []},
            {"roles": None},
        ],
    ),
    Case(
        "an error that is absorbed",
        mapped("claims.sub", **claim_rule("claims.a.b == 'x' || claims.c == 'y'")),
        [{"c": "y"}, {"c": "z"}, {"a": {"b": "x"}}, {"a": {"b": 1}, "c": "y"}],
    ),
    Case(
        "patterns",
        mapped("claims.sub", **claim_rule(r"claims.a.matches(r'^\d+(-[a-z]+)?$')")),
        [{"a": "12"}, {"a": "12-ab"}, {"a": "12\n"}, {"a": "x"}, {"a": 12}, {"a": "\u0661"}],
    ),
    Case("lowerAscii", value("claims.a.lowerAscii()"), [{"a": "ÄB"}, {"a": 1}]),
    Case("upperAscii", value("claims.a.upperAscii()"), [{"a": "äb"}]),
    Case("trim", value("claims.a.trim()"), [{"a": " \tx\u00a0 "}, {"a": "\u2003x\u200a"}]),
    Case(
        "split",
        value("claims.a.split('/').map(x, x)"),
        [{"a": "x/y"}, {"a": "/x//"}, {"a": ""}, {"a": 1}],
    ),
    Case("split into characters", value("claims.a.split('').map(x, x)"), [{"a": "aé😀"}]),
    Case("split with a limit", value("claims.a.split(',', 2).map(x, x)"), [{"a": "a,b,c"}]),
    Case("split into none", value("claims.a.split(',', 0).map(x, x)"), [{"a": "a,b,c"}]),
    Case("split without end", value("claims.a.split(',', -1).map(x, x)"), [{"a": "a,b,c"}]),
    Case("a part", value("claims.a.split('/')[1]"), [{"a": "x/y"}, {"a": "x"}]),
    Case("substring", value("claims.a.substring(1)"), [{"a": "éxy"}, {"a": "a"}, {"a": ""}]),
    # The library refuses a part that ends with its text; see tests/expressions/test_language.py.
    Case(
        "substring of two",
        value("claims.a.substring(1, 3)"),
        [{"a": "éxyz"}, {"a": "ab"}],
        stricter=[{"a": "bad"}],
        any_claims=False,
    ),
    Case("charAt", value("claims.a.charAt(1)"), [{"a": "xé"}, {"a": "x"}, {"a": ""}]),
    Case("replace", value("claims.a.replace('@', '-')"), [{"a": "a@b@c"}, {"a": ""}]),
    Case("replace one", value("claims.a.replace('@', '', 1)"), [{"a": "a@b@c"}]),
    Case("join", value("claims.a.join('-')"), [{"a": ["x", "y"]}, {"a": []}, {"a": ["x", 1]}]),
    Case("join of nothing", value("claims.a.join()"), [{"a": ["x", "y"]}]),
    Case(
        "indexOf",
        mapped("claims.sub", **claim_rule("claims.a.indexOf('é') == 1")),
        [{"a": "xé"}, {"a": "éx"}, {"a": ""}],
    ),
    # The library has no result beyond a text's end, where kube-apiserver has -1.
    Case(
        "indexOf from a place",
        mapped("claims.sub", **claim_rule("claims.a.indexOf('x', 2) == -1")),
        [{"a": "ab"}, {"a": "abc"}, {"a": "abx"}],
        stricter=[{"a": "a"}, {"a": ""}],
        any_claims=False,
    ),
    Case(
        "lastIndexOf",
        mapped("claims.sub", **claim_rule("claims.a.lastIndexOf('x') == 2")),
        [{"a": "xxx"}, {"a": "x"}],
    ),
    Case(
        "size",
        mapped("claims.sub", **claim_rule("size(claims.a) == 2")),
        [{"a": "é😀"}, {"a": "e\u0301"}, {"a": [1, 2]}, {"a": {"x": 1, "y": 2}}, {"a": 2}],
    ),
    Case(
        "addresses",
        mapped(
            "claims.sub",
            **claim_rule(
                "cidr('10.0.0.0/8').containsIP(claims.a) && ip(claims.a).family() == 4"
                " && !ip(claims.a).isLoopback() && isIP(claims.a)"
            ),
        ),
        [
            {"a": "10.1.2.3"},
            {"a": "11.1.2.3"},
            {"a": "10.01.2.3"},
            {"a": "::ffff:10.1.2.3"},
            {"a": "10.1.2"},
            {"a": 10},
        ],
    ),
    Case(
        "global addresses",
        value("ip(claims.a).isGlobalUnicast() ? 'yes' : 'no'"),
        [
            {"a": address}
            for address in (
                "10.0.0.1",
                "8.8.8.8",
                "127.0.0.1",
                "169.254.1.1",
                "224.0.0.1",
                "255.255.255.255",
                "0.0.0.0",
                "::1",
                "fe80::1",
                "ff02::1",
                "2001:db8::1",
                "fd00::1",
                "::",
                "fec0::1",
            )
        ],
    ),
    Case(
        "networks",
        value(
            "cidr('10.0.0.0/8').containsCIDR(claims.a) ? 'yes' : 'no'",
        ),
        [
            {"a": network}
            for network in (
                "10.0.0.0/8",
                "10.2.0.0/16",
                "0.0.0.0/0",
                "10.1.2.3/8",
                "10.0.0.0/7",
                "::/0",
                "10.0.0.0",
                "10.0.0.0/08",
                "10.0.0.0/255.0.0.0",
                "10.0.0.0/33",
            )
        ],
    ),
    Case(
        "times",
        mapped(
            "claims.sub",
            **claim_rule("timestamp('2026-07-01T22:30:00Z').getDate('Europe/Prague') == 2"),
        ),
        [{}],
    ),
    Case(
        "days",
        mapped(
            "claims.sub",
            **claim_rule(
                "timestamp('2026-07-05T22:30:00Z').getDayOfWeek() == 0"
                " && timestamp('2026-07-05T22:30:00Z').getMonth() == 6"
                " && timestamp('2026-07-05T22:30:00Z').getDayOfMonth() == 4"
                " && duration('1h30m') == duration('90m')"
            ),
        ),
        [{}],
    ),
    Case(
        "names with other characters",
        value("claims['kubernetes.io'].namespace"),
        [{"kubernetes.io": {"namespace": "x"}}, {"kubernetes.io": {}}, {}],
    ),
    Case(
        "optional in depth",
        value("claims.?a.?b[?0].orValue('none')"),
        [{"a": {"b": ["x"]}}, {"a": {"b": []}}, {"a": {}}, {"a": {"b": [None]}}, {}],
        [{"a": None}, {"a": {"b": None}}],
        any_claims=False,
    ),
    Case(
        "optional that has a value",
        value("claims.?a.hasValue() ? claims.a : 'none'"),
        [{"a": "x"}, {"a": None}, {}],
    ),
    Case("optional itself", value("claims.?a"), [{"a": "x"}, {}]),
    Case("null", value("null"), [{}]),
    Case("a number", value("size(claims.a)"), [{"a": "x"}]),
    Case(
        "user rules",
        mapped(
            "claims.sub",
            groups="claims.?groups.orValue([])",
            uid="claims.?uid.orValue('')",
            extra={"example.com/a": "claims.?a.orValue('')"},
            **user_rule(
                "user.username.startsWith('s-') && user.groups.all(g, g != 'bad')"
                " && (user.uid == '' || user.uid == 'u')"
                " && !user.extra.exists(k, k == 'example.com/a' && false)"
            ),
        ),
        [
            {},
            {"groups": ["a"]},
            {"groups": ["bad"]},
            {"uid": "u"},
            {"uid": "v"},
            {"sub": "t-1"},
            {"a": "x"},
        ],
    ),
    Case(
        "user rules on extra",
        mapped(
            "claims.sub",
            extra={"example.com/a": "claims.?a.orValue('')"},
            **user_rule("user.extra['example.com/a'][0] == 'x' && size(user.extra) == 2"),
        ),
        [{"a": "x"}, {"a": "x", "jti": "1"}, {"a": "y", "jti": "1"}, {}, {"a": "x", "jti": 5}],
    ),
    Case(
        "user rules as Kubernetes writes them",
        mapped("claims.sub", groups="claims.?groups.orValue([])")
        | user_rule("!user.username.startsWith('system:')"),
        [{}, {"sub": "alice"}],
    ),
]
