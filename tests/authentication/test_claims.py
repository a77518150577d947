"""From verified claims to a subject."""

import base64
import contextlib
import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.authentication.claims import changed_groups, identity_of
from kzproxy.authentication.mapping import MAX_GROUPS
from kzproxy.authentication.settings import (
    ExtraClaim,
    JwtIssuerSettings,
    MappingExpression,
    PrefixedClaim,
    RequiredClaim,
    ReservedNames,
    ValidationRule,
)
from kzproxy.authentication.validity import VerifiedClaims
from kzproxy.errors.kinds import Unauthenticated

END = datetime(2026, 6, 1, 13, tzinfo=UTC)


def settings(username="sub", prefix="", groups_prefix="", **changes):
    members = {
        "url": "https://idp",
        "audiences": ("kubernetes",),
        "username": PrefixedClaim(claim=username, prefix=prefix),
        "groups": PrefixedClaim(claim="groups", prefix=groups_prefix),
    }
    return JwtIssuerSettings(**(members | changes))


def mapped(issuer=None, /, **claims):
    return identity_of(VerifiedClaims({"sub": "s-1"} | claims), issuer or settings(), END)


def test_every_field_of_the_identity_comes_from_its_claim():
    issuer = settings(
        username="name",
        prefix="oidc:",
        groups_prefix="team:",
        uid_claim="oid",
        extra=(ExtraClaim(key="example.com/tenant", expression="claims.tid"),),
    )
    identity = mapped(
        issuer, name="alice", groups=["a", "b"], oid="u-1", tid="t-1", sid="session-9"
    )
    assert identity.username == "oidc:alice"
    assert identity.groups == ("team:a", "team:b")
    assert identity.uid == "u-1"
    assert identity.extra == (("example.com/tenant", ("t-1",)),)
    assert identity.method == "oidc"
    assert identity.issuer == "https://idp"
    assert identity.subject == "s-1"
    assert identity.sign_in == "session-9"
    assert identity.expires_at == END
    assert identity.confirmation == ""


BLANK_AND_ODD = [
    "",
    " ",
    "\t",
    "\r\n",
    " alice",
    "alice ",
    "al\nImpersonate-Group: system:masters",
    "al\r\nImpersonate-Group: system:masters",
    "al\x00ice",
    "al\x9bice",
    "al\u202eice",
    "Ju\u0308rgen",
    "\ud800",
    "x" * 2000,
    None,
    5,
    True,
    ["alice"],
    {"name": "alice"},
]


@pytest.mark.parametrize("prefix", ["", "oidc:"])
@pytest.mark.parametrize("name", BLANK_AND_ODD, ids=ascii)
def test_e2_9_e2_5_a_username_that_is_not_a_clean_name_is_refused_whatever_the_prefix(name, prefix):
    with pytest.raises(Unauthenticated, match="claim `name`"):
        mapped(settings(username="name", prefix=prefix), name=name)


def test_e2_9_a_missing_username_is_refused():
    with pytest.raises(Unauthenticated, match="no claim `name`"):
        mapped(settings(username="name", prefix="oidc:"))


@pytest.mark.parametrize("name", BLANK_AND_ODD, ids=ascii)
def test_e2_9_a_subject_that_is_not_a_clean_name_is_refused(name):
    with pytest.raises(Unauthenticated, match="claim `sub`"):
        mapped(settings(username="name"), name="alice", sub=name)


SYSTEM_NAMES = [
    "system:masters",
    "system:serviceaccount:kube-system:default",
    "system:node:n1",
    "system:kube-controller-manager",
    "system:authenticated",
    "system:anonymous",
    "SYSTEM:MASTERS",
    "\uff53ystem:masters",
    "\u017fystem:masters",
    "system\uff1amasters",
]


@pytest.mark.parametrize("name", SYSTEM_NAMES, ids=ascii)
def test_e6_9_a_system_username_never_comes_from_outside(name):
    with pytest.raises(Unauthenticated, match="`system:` name"):
        mapped(sub=name)


@pytest.mark.parametrize("name", SYSTEM_NAMES, ids=ascii)
def test_e6_9_a_system_group_refuses_the_whole_token(name):
    with pytest.raises(Unauthenticated, match=r"maps its group to a `system:` name"):
        mapped(groups=["dev", name])
    with pytest.raises(Unauthenticated, match="`system:` name"):
        mapped(groups=name)


@pytest.mark.parametrize("name", [*SYSTEM_NAMES[:5], "SYSTEM:MASTERS"], ids=ascii)
def test_e6_9_a_prefix_takes_its_power(name):
    identity = mapped(settings(prefix="oidc:", groups_prefix="oidc:"), sub=name, groups=[name])
    assert identity.username == f"oidc:{name}"
    assert identity.groups == (f"oidc:{name}",)


def test_e6_9_a_prefix_and_a_claim_cannot_make_a_system_name_together():
    with pytest.raises(Unauthenticated, match="`system:` name"):
        mapped(settings(prefix="sys"), sub="tem:masters")
    with pytest.raises(Unauthenticated, match="`system:` name"):
        mapped(settings(groups_prefix="system"), groups=[":masters"])


def test_e6_9_a_prefix_and_a_claim_must_be_normalised_together():
    with pytest.raises(Unauthenticated, match="with its prefix is not in Unicode normal form C"):
        mapped(settings(prefix="Ju"), sub="\u0308rgen")


@pytest.mark.parametrize("name", ["system:masters ", " system:masters"])
def test_e6_9_a_system_name_with_a_blank_is_refused_too(name):
    with pytest.raises(Unauthenticated, match="blank"):
        mapped(groups=[name])


def test_e6_9_names_are_case_sensitive():
    assert mapped(sub="Alice").username == "Alice"


@pytest.mark.parametrize("verified", [{}, {"email_verified": True}])
def test_e6_9_an_address_that_is_not_called_unverified_is_taken(verified):
    assert mapped(settings(username="email"), email="a@b.example", **verified).username


@pytest.mark.parametrize("verified", [False, None, "true", "false", 1, 0, []])
def test_e6_9_an_unverified_address_is_refused(verified):
    with pytest.raises(Unauthenticated, match="`email` is not verified"):
        mapped(settings(username="email"), email="a@b.example", email_verified=verified)


def test_e6_9_an_address_that_names_nobody_needs_no_verification():
    assert mapped(email="a@b.example", email_verified=False).username == "s-1"


@pytest.mark.parametrize("address", ["a@evil.example@good.example", "@good.example", "a@", "alice"])
def test_e6_9_an_address_with_two_readings_is_refused(address):
    with pytest.raises(Unauthenticated, match="one name at one domain"):
        mapped(settings(username="email"), email=address)


@pytest.mark.parametrize(
    ("claim", "groups"),
    [
        (["g1", "g,2"], ("g1", "g,2")),
        ([",,,chameleon"], (",,,chameleon",)),
        ("g1,g2", ("g1,g2",)),
        ("g1", ("g1",)),
        ([], ()),
    ],
)
def test_e2_10_groups_are_never_split_or_joined(claim, groups):
    assert mapped(groups=claim).groups == groups


def test_groups_may_be_absent_or_unmapped():
    assert mapped().groups == ()
    assert mapped(groups=None).groups == ()  # as kube-apiserver: null is a list of none
    assert mapped(settings(groups=None), groups=["a"]).groups == ()


@pytest.mark.parametrize(
    "claim", [5, True, {"a": "b"}, [None], ["a", 5], [["a"]], [""], ["a", " "], ["a\nb"], ""]
)
def test_groups_that_are_not_clean_names_refuse_the_token(claim):
    with pytest.raises(Unauthenticated, match="claim `groups`, entry"):
        mapped(groups=claim)


@pytest.mark.parametrize("claims", [{}, {"groups": None}])
def test_a_change_that_names_no_groups_says_nothing_of_them(claims):
    """Whoever has some must not lose them by it, and with them what a deny rule looks at."""
    assert changed_groups(VerifiedClaims(claims), settings()) is None
    assert changed_groups(VerifiedClaims({"groups": []}), settings()) == ()


def test_too_many_groups_are_refused_and_never_cut_off():
    most = [f"g{n}" for n in range(MAX_GROUPS)]
    assert len(mapped(groups=most).groups) == MAX_GROUPS
    with pytest.raises(Unauthenticated, match="more than 1000 groups"):
        mapped(groups=[*most, "one-more"])


def test_groups_that_the_issuer_keeps_elsewhere_refuse_the_token():
    """A deny rule may name one of them."""
    with pytest.raises(Unauthenticated, match="refers elsewhere"):
        mapped(_claim_names={"groups": "src1"}, _claim_sources={"src1": {"endpoint": "https://x"}})
    with pytest.raises(Unauthenticated, match="refers elsewhere"):
        mapped(groups=None, _claim_names={"groups": "src1"})
    assert mapped(_claim_names={"photos": "src1"}).groups == ()


@pytest.mark.parametrize("uid", [None, "", " ", 5, ["u"], "a\nb"])
def test_a_uid_that_is_not_a_clean_name_is_refused(uid):
    with pytest.raises(Unauthenticated, match="claim `oid`"):
        mapped(settings(uid_claim="oid"), oid=uid)


def test_a_missing_uid_is_refused():
    with pytest.raises(Unauthenticated, match="no claim `oid`"):
        mapped(settings(uid_claim="oid"))


EXTRA = settings(extra=(ExtraClaim(key="example.com/a", expression="claims.a"),))


@pytest.mark.parametrize(
    ("value", "extra"),
    [
        ("x", (("example.com/a", ("x",)),)),
        (["x", "y"], (("example.com/a", ("x", "y")),)),
        (["x", ""], (("example.com/a", ("x",)),)),
        ("", ()),
        ([], ()),
        ([""], ()),
        (None, ()),
    ],
)
def test_an_extra_is_a_string_or_a_list_of_them_and_empty_leaves_it_out(value, extra):
    assert mapped(EXTRA, a=value).extra == extra


@pytest.mark.parametrize(
    "value", [5, 0, False, {"x": 1}, [1], ["x", None], "x\ny", " x", ["x"] * 1001, "a\0"]
)
def test_an_extra_that_cannot_be_carried_is_refused(value):
    with pytest.raises(Unauthenticated, match=r"`extra example\.com/a`"):
        mapped(EXTRA, a=value)


def test_a_missing_extra_is_refused_as_the_expression_would_fail():
    with pytest.raises(Unauthenticated, match=r"`extra example\.com/a` has no result"):
        mapped(EXTRA)


REQUIRED = settings(required_claims=(RequiredClaim(claim="hd", value="example.com"),))


def test_a_required_claim_with_its_value_is_taken():
    assert mapped(REQUIRED, hd="example.com").username == "s-1"


@pytest.mark.parametrize("value", ["example.org", "Example.com", "", None, ["example.com"], True])
def test_a_required_claim_with_another_value_is_refused(value):
    with pytest.raises(Unauthenticated, match=r"claim `hd` is not the string `example\.com`"):
        mapped(REQUIRED, hd=value)


def test_a_missing_required_claim_is_refused():
    with pytest.raises(Unauthenticated, match="no claim `hd`"):
        mapped(REQUIRED)


def test_a_required_claim_may_have_to_be_empty():
    issuer = settings(required_claims=(RequiredClaim(claim="x", value=""),))
    assert mapped(issuer, x="").username == "s-1"
    with pytest.raises(Unauthenticated):
        mapped(issuer)


def test_a_sign_in_is_known_by_session_or_time():
    assert mapped(sid="abc", auth_time=5).sign_in == "abc"
    assert mapped(auth_time=1780315200).sign_in == "1780315200"
    assert mapped(auth_time=1780315200.75).sign_in == "1780315200"
    assert mapped().sign_in == ""


@pytest.mark.parametrize(
    "claims", [{"sid": ""}, {"sid": 5}, {"auth_time": "now"}, {"auth_time": 1e300}]
)
def test_a_sign_in_that_cannot_be_read_is_refused(claims):
    with pytest.raises(Unauthenticated):
        mapped(**claims)


def test_e6_8_a_token_bound_to_a_certificate_says_to_which():
    digest = hashlib.sha256(b"certificate").digest()
    bound = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert mapped(cnf={"x5t#S256": bound}).confirmation == digest.hex()


@pytest.mark.parametrize(
    "confirmation",
    [
        None,
        "x",
        [],
        {},
        {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
        {"x5t#S256": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "jkt": "x"},
        {"x5t#S256": None},
        {"x5t#S256": ""},
        {"x5t#S256": "abc"},
        {"x5t#S256": "0ZcOCORZNYy+DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
        {"x5t#S256": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I="},
        {"x5t#S256": ["0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"]},
    ],
)
def test_e6_8_a_binding_that_kzproxy_cannot_check_is_refused(confirmation):
    with pytest.raises(Unauthenticated, match="`cnf`"):
        mapped(cnf=confirmation)


def test_no_refusal_repeats_a_claims_value():
    for claims in ({"sub": "evil\nvalue"}, {"groups": ["evil\tvalue"]}, {"sid": " evil"}):
        with pytest.raises(Unauthenticated) as refusal:
            mapped(**claims)
        assert "evil" not in refusal.value.message + refusal.value.detail


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["sub", "groups", "sid", "auth_time", "cnf", "a", "oid", "hd", "_claim_names"]
        ),
        json_values,
    )
)
def test_any_claims_are_an_identity_or_unauthenticated(claims):
    issuer = settings(uid_claim="oid", extra=EXTRA.extra)
    try:
        identity = mapped(issuer, **claims)
    except Unauthenticated:
        return
    names = (identity.username, *identity.groups, identity.uid, identity.subject)
    for name in names:
        assert name.strip() == name != ""
        assert not name.casefold().startswith("system:")


def test_when_and_how_a_person_signed_in_is_kept():
    identity = mapped(
        auth_time=1780315200, iat=1780318800.5, acr="urn:example:phr", amr=["hwk", "pin"]
    )
    assert identity.authenticated_at == datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert identity.issued_at == datetime(2026, 6, 1, 13, 0, 0, 500000, tzinfo=UTC)
    assert identity.authentication_class == "urn:example:phr"
    assert identity.authentication_methods == ("hwk", "pin")


def test_what_the_issuer_does_not_say_is_absent():
    identity = mapped()
    assert (identity.authenticated_at, identity.issued_at) == (None, None)
    assert (identity.authentication_class, identity.authentication_methods) == ("", ())


@pytest.mark.parametrize("name", ["auth_time", "iat"])
@pytest.mark.parametrize("value", ["1780315200", True, None, [1780315200], -1, 1e300])
def test_a_time_that_is_none_is_refused(name, value):
    with pytest.raises(Unauthenticated, match=f"`{name}` is not a"):
        mapped(sid="s", **{name: value})


@pytest.mark.parametrize("value", [1, None, "", " phr", ["phr"], "a\0", {"phr": True}])
def test_a_class_that_cannot_be_read_says_nothing(value):
    assert mapped(acr=value).authentication_class == ""


@pytest.mark.parametrize("value", ["hwk", None, 5, [1], ["hwk", 1], ["hwk", ""], ["x"] * 33])
def test_methods_that_cannot_be_read_say_nothing(value):
    assert mapped(amr=value).authentication_methods == ()


SPIFFE = settings(
    extra=(ExtraClaim(key="kzproxy.dev/spiffe-id", expression="claims.?spiffe.orValue('')"),)
)


def test_a_workload_has_the_spiffe_id_that_its_issuer_maps():
    assert mapped(SPIFFE, spiffe="spiffe://example.org/ci").spiffe_id == "spiffe://example.org/ci"
    assert mapped(SPIFFE).spiffe_id == ""


@pytest.mark.parametrize(
    "value",
    [
        "https://example.org/ci",
        "spiffe://Example.org/ci",
        "spiffe://example.org/a/../b",
        ["spiffe://example.org/a", "spiffe://example.org/b"],
        5,
    ],
)
def test_what_is_no_single_spiffe_id_is_refused(value):
    with pytest.raises(Unauthenticated, match="spiffe-id"):
        mapped(SPIFFE, spiffe=value)


CLUSTER = settings(
    groups=MappingExpression(
        expression="['system:serviceaccounts',"
        " 'system:serviceaccounts:' + claims['kubernetes.io'].namespace]"
    ),
    reserved=ReservedNames(
        users=("system:serviceaccount:ci:*",),
        groups=("system:serviceaccounts", "system:serviceaccounts:ci"),
    ),
)


def account(namespace, name):
    subject = f"system:serviceaccount:{namespace}:{name}"
    return {"sub": subject, "kubernetes.io": {"namespace": namespace}}


def test_reserved_names_are_given_by_the_issuer_that_may():
    identity = mapped(CLUSTER, **account("ci", "builder"))
    assert identity.username == "system:serviceaccount:ci:builder"
    assert identity.groups == ("system:serviceaccounts", "system:serviceaccounts:ci")


@pytest.mark.parametrize(
    ("namespace", "name"),
    [("prod", "builder"), ("ci", "a:b"), ("ci", ""), ("CI", "builder"), ("ci:x", "y")],
)
def test_e6_9_reserved_names_beyond_those_are_refused(namespace, name):
    with pytest.raises(Unauthenticated):
        mapped(CLUSTER, **account(namespace, name))


@pytest.mark.parametrize(
    ("pattern", "takes"),
    [
        ("ci*:*", {"ci:builder", "cinema:deployer", "ci-prod:admin"}),
        ("c*:*r", {"ci:builder", "cinema:deployer"}),
        ("*:*", {"ci:builder", "cinema:deployer", "ci-prod:admin"}),
        ("ci:b*", {"ci:builder"}),
        ("ci:*", {"ci:builder"}),
        ("*:admin", {"ci-prod:admin"}),
        # What no configuration holds gives nothing away either.
        ("c*r", set()),
        ("ci*", set()),
        ("*", set()),
    ],
)
def test_a_wildcard_does_not_reach_over_the_parts_of_an_account(pattern, takes):
    issuer = settings(reserved=ReservedNames(users=(f"system:serviceaccount:{pattern}",)))
    taken = set()
    for name in ("ci:builder", "cinema:deployer", "ci-prod:admin"):
        with contextlib.suppress(Unauthenticated):
            taken.add(mapped(issuer, sub=f"system:serviceaccount:{name}").username)
    assert taken == {f"system:serviceaccount:{name}" for name in takes}


@pytest.mark.parametrize("group", ["system:masters", "system:serviceaccounts:prod", "SYSTEM:x"])
def test_e6_9_a_reserved_group_beyond_those_is_refused(group):
    issuer = settings(
        groups=MappingExpression(expression="claims.groups"), reserved=CLUSTER.reserved
    )
    with pytest.raises(Unauthenticated, match="`system:` name"):
        mapped(issuer, groups=["a", group])


@pytest.mark.parametrize(
    "changes",
    [
        {"username": MappingExpression(expression="'system:admin'")},
        {"groups": MappingExpression(expression="['system:masters']")},
    ],
)
def test_e6_9_an_expression_gives_no_reserved_name(changes):
    issuer = replace(settings(), **changes)
    with pytest.raises(Unauthenticated, match="`system:` name"):
        mapped(issuer)


def test_a_rule_that_does_not_hold_says_so_in_the_operators_words():
    rule = ValidationRule(expression="claims.hd == 'example.com'", message="of example.com only")
    issuer = settings(claim_rules=(rule,))
    assert mapped(issuer, hd="example.com").username == "s-1"
    with pytest.raises(Unauthenticated, match=r"claimValidationRules`: of example\.com only"):
        mapped(issuer, hd="secret")
    with pytest.raises(Unauthenticated, match="has no result") as refusal:
        mapped(issuer, other="secret")
    assert "secret" not in refusal.value.message


def test_a_user_that_a_rule_does_not_take_is_refused():
    rule = ValidationRule(expression="user.groups.all(g, g != 'out')", message="not you")
    issuer = settings(user_rules=(rule,))
    assert mapped(issuer, groups=["in"]).groups == ("in",)
    with pytest.raises(Unauthenticated, match="userValidationRules`: not you"):
        mapped(issuer, groups=["in", "out"])


@pytest.mark.parametrize(
    "changes",
    [
        {"groups": MappingExpression(expression="claims.groups")},
        {"uid_expression": "claims.oid"},
        {"claim_rules": (ValidationRule(expression="claims.a == 'x'"),)},
        {"claim_rules": (ValidationRule(expression="claims.a == 'x'", message="y"),)},
        {"user_rules": (ValidationRule(expression="user.uid == 'x'"),)},
        {"extra": (ExtraClaim(key="example.com/a", expression="claims.a"),)},
        {"reserved": ReservedNames(users=("system:serviceaccount:a:b",))},
    ],
)
def test_any_change_of_the_mapping_is_another_revision(changes):
    """Live streams rest on the revision, and end with it."""
    assert settings(**changes).revision != settings().revision


@pytest.mark.parametrize("name", ["al\nImpersonate-Group: system:masters", " ", "", "a\0", "bob "])
def test_what_an_expression_makes_of_claims_is_a_clean_name_too(name):
    """Put together in the expression, of claims each of which may be anything."""
    both = "claims.sub + claims.tail"
    for issuer in (
        replace(settings(), username=MappingExpression(expression=both)),
        settings(uid_expression=both),
    ):
        with pytest.raises(Unauthenticated):
            mapped(issuer, sub=name[:1], tail=name[1:] or " ")
        with_name = mapped(issuer, sub="al", tail="ice")
        assert "alice" in (with_name.username, with_name.uid)


def test_a_user_of_whom_a_rule_has_no_answer_is_refused():
    rule = ValidationRule(expression="user.extra['example.com/tenant'][0] == 'ours'")
    issuer = settings(user_rules=(rule,))
    with_tenant = replace(
        issuer, extra=(ExtraClaim(key="example.com/tenant", expression="claims.tid"),)
    )

    assert mapped(with_tenant, tid="ours").username == "s-1"
    with pytest.raises(Unauthenticated, match="userValidationRules` has no result"):
        mapped(issuer)


@pytest.mark.parametrize("groups", [["system:masters"], ["a", "system:nodes"]])
def test_a_change_gives_nobody_a_group_that_is_reserved(groups):
    with pytest.raises(Unauthenticated):
        changed_groups(VerifiedClaims({"groups": groups}), settings())


def test_a_change_of_claims_says_the_groups_only_where_they_alone_make_them():
    claims = VerifiedClaims({"groups": ["a"]})
    rule = ValidationRule(expression="user.username != 'x'")

    assert changed_groups(claims, settings()) == ("a",)
    assert changed_groups(claims, settings(groups_prefix="g:")) == ("g:a",)
    expression = MappingExpression(expression="claims.groups")
    assert changed_groups(claims, settings(groups=expression)) is None
    assert changed_groups(claims, settings(groups=None)) is None
    assert changed_groups(claims, settings(user_rules=(rule,))) is None
