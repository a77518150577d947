"""``AuthenticationConfiguration`` files: what is taken, and every mistake at its place."""

from pathlib import Path
from textwrap import dedent, indent

import pytest

from kzproxy.authentication.settings import (
    ExtraClaim,
    JwtIssuerSettings,
    MappingExpression,
    PrefixedClaim,
    RequiredClaim,
    ValidationRule,
)
from kzproxy.config.authentication import load_authentication
from kzproxy.config.document import Mistakes
from tests.servers.authority import Authority

SHIPPED = Path(__file__).parents[2] / "config" / "authentication.yaml"

HEAD = """\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
"""

ISSUER = """\
jwt:
- issuer:
    url: https://idp.example.com
    audiences: [kubernetes]
  claimMappings:
    username: {claim: sub, prefix: ""}
"""


@pytest.fixture
def load(tmp_path):
    """Return a function from text to issuers and messages with their places."""

    def loaded(text):
        path = tmp_path / "authentication.yaml"
        path.write_text(text, encoding="utf-8")
        mistakes = Mistakes()
        issuers = load_authentication(path, mistakes)
        return issuers, [f"{m.line}:{m.column}: {m.message}" for m in mistakes.found]

    return loaded


def issuer_text(
    url="https://idp.example.com",
    audiences="[kubernetes]",
    issuer="",
    username='{claim: sub, prefix: ""}',
    mappings="",
    rest="",
):
    """Write one issuer; the last of the text blocks go at their own levels."""
    return (
        f"- issuer:\n    url: {url}\n    audiences: {audiences}\n"
        + indent(dedent(issuer), "    ")
        + f"  claimMappings:\n    username: {username}\n"
        + indent(dedent(mappings), "    ")
        + indent(dedent(rest), "  ")
    )


def one(**changes):
    return HEAD + "jwt:\n" + issuer_text(**changes)


def test_the_shipped_example_is_without_mistake():
    mistakes = Mistakes()
    people, pipelines = load_authentication(SHIPPED, mistakes)
    assert mistakes.found == ()
    assert people == JwtIssuerSettings(
        url="https://idp.example.com/realms/staff",
        audiences=("kubernetes",),
        username=PrefixedClaim(claim="email", prefix=""),
        groups=PrefixedClaim(claim="groups", prefix="staff:"),
        uid_claim="sub",
        extra=(ExtraClaim(key="example.com/department", expression="claims.department"),),
        required_claims=(RequiredClaim(claim="hd", value="example.com"),),
    )
    assert pipelines.audiences == ("kubernetes", "kubernetes-staging")
    assert pipelines.groups is None
    assert pipelines.discovery_document_url == (
        "https://ci-internal.example.com/.well-known/openid-configuration"
    )


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_both_versions_are_read(load, version):
    issuers, mistakes = load(one().replace("k8s.io/v1", f"k8s.io/{version}"))
    assert mistakes == []
    assert issuers[0].discovery_document_url == (
        "https://idp.example.com/.well-known/openid-configuration"
    )


def test_a_version_that_is_not_known_is_a_mistake(load):
    _, mistakes = load(one().replace("k8s.io/v1", "k8s.io/v1alpha1"))
    assert len(mistakes) == 1
    assert "apiserver.config.k8s.io/v1beta1" in mistakes[0]


def test_an_authority_is_given_as_pem_text(load):
    pem = Authority.root().pem.decode()
    issuers, mistakes = load(one(issuer="certificateAuthority: |\n" + indent(pem, "  ")))
    assert mistakes == []
    assert issuers[0].certificate_authority_pem == pem


@pytest.mark.parametrize("text", ["ca.crt", "|\n  -----BEGIN CERTIFICATE-----\n  AAAA", '"ü"'])
def test_an_authority_that_is_not_pem_text_is_a_mistake(load, text):
    _, mistakes = load(one(issuer=f"certificateAuthority: {text}\n"))
    assert len(mistakes) == 1
    assert "PEM text" in mistakes[0]


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example.com",
        "HTTPS://idp.example.com",
        "idp.example.com",
        "https://",
        "https:///realms",
        "https://user@idp.example.com",
        "https://user:pw@idp.example.com",
        "https://idp.example.com?x=1",
        "'https://idp.example.com?'",
        "https://idp.example.com/#x",
        "'https://idp.example.com#'",
        "https://idp.example.com:99999",
        "https://[::1",
        "'https://idp.example.com '",
        '"https://idp.example.com\\n"',
        "https://idp.ex\u00e4mple.com",
        "https://idp.example.com\\x",
    ],
)
def test_an_issuer_that_is_not_a_plain_https_url_is_a_mistake(load, url):
    for text in (one(url=url), one(issuer=f"discoveryURL: {url}\n")):
        _, mistakes = load(text)
        assert len(mistakes) == 1
        assert "must be an https URL without user name, query and fragment" in mistakes[0]


@pytest.mark.parametrize("url", ["https://idp.example.com", "https://idp.example.com/"])
def test_the_discovery_url_must_be_another_one(load, url):
    _, mistakes = load(one(issuer=f"discoveryURL: {url}\n"))
    assert mistakes == [
        "7:19: must be the URL of the discovery document itself, and so differ from url"
    ]


def test_an_issuer_must_not_come_twice(load):
    text = HEAD + "jwt:\n" + issuer_text() + issuer_text()
    _, mistakes = load(text)
    assert mistakes == ["10:10: issuer https://idp.example.com is there twice; keep one"]


def test_a_discovery_url_must_not_come_twice(load):
    place = "discoveryURL: https://idp.example.com/d\n"
    _, mistakes = load(
        HEAD + "jwt:\n" + issuer_text(issuer=place) + issuer_text(url="https://b", issuer=place)
    )
    assert len(mistakes) == 1
    assert "discoveryURL https://idp.example.com/d is there twice" in mistakes[0]


@pytest.mark.parametrize(
    ("audiences", "issuer", "message"),
    [
        ("[]", "", "the list must not be empty"),
        ('[""]', "", "must not be empty"),
        ("[a, b]", "", "audienceMatchPolicy: MatchAny"),
        ("[a, a]", "audienceMatchPolicy: MatchAny\n", "must not name an audience twice"),
        ("[a]", "audienceMatchPolicy: MatchAll\n", '"MatchAll" is not one of MatchAny'),
        ("kubernetes", "", "must be a list"),
    ],
)
def test_a_wrong_audience_is_a_mistake(load, audiences, issuer, message):
    _, mistakes = load(one(audiences=audiences, issuer=issuer))
    assert len(mistakes) == 1
    assert message in mistakes[0]


def test_several_audiences_need_to_say_that_any_will_do(load):
    issuers, mistakes = load(one(audiences="[a, b]", issuer="audienceMatchPolicy: MatchAny\n"))
    assert mistakes == []
    assert issuers[0].audiences == ("a", "b")


def test_a_prefix_must_be_said_even_if_it_is_empty(load):
    _, mistakes = load(one(username="{claim: sub}"))
    assert mistakes == [
        '8:15: prefix must be set here; prefix: "" says that claims are taken as they are'
    ]
    _, mistakes = load(one(mappings="groups: {claim: groups}\n"))
    assert "prefix must be set here" in mistakes[0]


@pytest.mark.parametrize("prefix", ["", "oidc:", "idp#", "a "])
def test_a_prefix_is_taken_as_it_is(load, prefix):
    issuers, mistakes = load(one(username=f'{{claim: sub, prefix: "{prefix}"}}'))
    assert mistakes == []
    assert issuers[0].username == PrefixedClaim(claim="sub", prefix=prefix)


@pytest.mark.parametrize("prefix", ["system:", "SYSTEM:", "system:serviceaccount:", "\uff53ystem:"])
def test_e6_9_a_prefix_that_makes_system_names_is_a_mistake(load, prefix):
    for text in (
        one(username=f'{{claim: sub, prefix: "{prefix}"}}'),
        one(mappings=f'groups: {{claim: groups, prefix: "{prefix}"}}\n'),
    ):
        _, mistakes = load(text)
        assert len(mistakes) == 1
        assert "must not make `system:` names" in mistakes[0]


@pytest.mark.parametrize("prefix", ["\\n", " a", "a\\u202e", "\\t"])
def test_a_prefix_that_cannot_begin_a_name_is_a_mistake(load, prefix):
    _, mistakes = load(one(username=f'{{claim: sub, prefix: "{prefix}"}}'))
    assert len(mistakes) == 1
    assert "cannot begin a name" in mistakes[0]


def test_extras_are_sorted_by_key(load):
    issuers, mistakes = load(
        one(
            mappings="""\
            extra:
            - {key: example.com/z, valueExpression: claims.z}
            - {key: example.com/a/b, valueExpression: claims.a_1}
            """
        )
    )
    assert mistakes == []
    assert issuers[0].extra == (
        ExtraClaim(key="example.com/a/b", expression="claims.a_1"),
        ExtraClaim(key="example.com/z", expression="claims.z"),
    )


@pytest.mark.parametrize(
    "key",
    ["tenant", "Example.com/a", "example.com/A", "example.com/", "/a", "-a.com/x", "a_b.com/x"],
)
def test_an_extra_key_is_a_lower_case_domain_and_a_name(load, key):
    _, mistakes = load(one(mappings=f"extra:\n- {{key: {key}, valueExpression: claims.a}}\n"))
    assert len(mistakes) == 1
    assert "must be a lower-case domain and a name: example.com/tenant" in mistakes[0]


@pytest.mark.parametrize(
    "key",
    [
        "kubernetes.io/a",
        "authentication.kubernetes.io/node-name",
        "k8s.io/a",
        "x.k8s.io/a",
        "kzproxy.dev/session-id",
        "kzproxy.dev/spiffe-ids",
        "sub.kzproxy.dev/device-id",
        "sub.kzproxy.dev/spiffe-id",
    ],
)
def test_e6_9_extras_that_carry_authority_are_reserved(load, key):
    _, mistakes = load(one(mappings=f"extra:\n- {{key: {key}, valueExpression: claims.a}}\n"))
    assert len(mistakes) == 1
    assert "are reserved" in mistakes[0]


@pytest.mark.parametrize("key", ["notkubernetes.io/a", "k8s.io.example.com/a", "mykzproxy.dev/a"])
def test_a_domain_that_only_ends_alike_is_not_reserved(load, key):
    _, mistakes = load(one(mappings=f"extra:\n- {{key: {key}, valueExpression: claims.a}}\n"))
    assert mistakes == []


def test_an_extra_key_must_not_come_twice(load):
    item = "- {key: example.com/a, valueExpression: claims.a}\n"
    _, mistakes = load(one(mappings=f"extra:\n{item}{item}"))
    assert len(mistakes) == 1
    assert "key example.com/a is there twice" in mistakes[0]


def test_a_required_value_may_be_left_out_and_is_then_empty(load):
    issuers, mistakes = load(
        one(rest="claimValidationRules:\n- claim: a\n- {claim: b, requiredValue: x}\n")
    )
    assert mistakes == []
    assert issuers[0].required_claims == (
        RequiredClaim(claim="a", value=""),
        RequiredClaim(claim="b", value="x"),
    )


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{requiredValue: x}", "claim or expression must be set here"),
        ("{claim: a, message: no}", "belongs to expression"),
        ("{claim: ''}", "must not be empty"),
        ("{claim: a, requiredValue: true}", "YAML reads true as a boolean"),
        ("{claim: a, value: x}", "unknown field value"),
    ],
)
def test_a_wrong_rule_is_a_mistake(load, rule, message):
    _, mistakes = load(one(rest=f"claimValidationRules:\n- {rule}\n"))
    assert len(mistakes) == 1
    assert message in mistakes[0]


def test_a_claim_must_not_be_required_twice(load):
    _, mistakes = load(one(rest="claimValidationRules:\n- claim: a\n- claim: a\n"))
    assert len(mistakes) == 1
    assert "claim a is there twice" in mistakes[0]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("anonymous: {enabled: true}\n", "lets nobody in without a credential"),
        ("anonymous: {}\n", "enabled must be set here"),
        ("anonymous: {enabled: false, conditions: [{path: /livez}]}\n", "must be left out"),
    ],
)
def test_e6_13_anonymous_is_refused(load, section, message):
    _, mistakes = load(HEAD + section + ISSUER)
    assert len(mistakes) == 1
    assert message in mistakes[0]


def test_e6_13_saying_that_anonymous_is_off_is_welcome(load):
    assert load(HEAD + "anonymous: {enabled: false}\n" + ISSUER)[1] == []


def test_there_must_be_an_issuer(load):
    assert load(HEAD + "jwt: []\n")[1] == ["3:6: must name from 1 to 64 issuers"]
    assert "jwt must be set here" in load(HEAD)[1][0]


def test_there_may_be_64_issuers_and_no_more(load):
    def text(number):
        return HEAD + "jwt:\n" + "".join(issuer_text(url=f"https://i{n}") for n in range(number))

    assert load(text(64))[1] == []
    assert load(text(65))[1] == ["4:1: must name from 1 to 64 issuers"]


def test_an_unknown_field_is_a_mistake_that_says_what_is_allowed(load):
    _, mistakes = load(one(issuer="audience: x\n"))
    assert mistakes == [
        "7:5: unknown field audience; did you mean audiences?; allowed here: url, audiences,"
        " discoveryURL, audienceMatchPolicy, certificateAuthority"
    ]


def test_all_mistakes_are_told_at_once(load):
    _, mistakes = load(
        "apiVersion: v1\nkind: Config\nanonymous: {enabled: true}\njwt:\n"
        + issuer_text(url="http://x", audiences="[]", username="{claim: sub}", rest="extra: 1\n")
    )
    assert len(mistakes) == 7


def test_an_unreadable_file_is_a_mistake(tmp_path):
    mistakes = Mistakes()
    assert load_authentication(tmp_path / "absent.yaml", mistakes) == ()
    assert len(mistakes.found) == 1


def test_expressions_are_read(load):
    issuers, mistakes = load(
        one(
            username="{expression: \"claims.sub + '@x'\"}",
            mappings="""\
            groups: {expression: "claims.roles.split(',').map(r, r)"}
            uid: {expression: claims.oid}
            extra:
            - {key: kzproxy.dev/spiffe-id, valueExpression: "claims.?spiffe.orValue('')"}
            """,
            rest="""\
            claimValidationRules:
            - {expression: claims.hd == 'x', message: not of x}
            - {claim: a, requiredValue: b}
            userValidationRules:
            - {expression: "user.username != 'y@x'"}
            """,
        )
    )
    assert mistakes == []
    issuer = issuers[0]
    assert issuer.username == MappingExpression(expression="claims.sub + '@x'")
    assert issuer.groups == MappingExpression(expression="claims.roles.split(',').map(r, r)")
    assert (issuer.uid_claim, issuer.uid_expression) == ("", "claims.oid")
    assert issuer.extra == (
        ExtraClaim(key="kzproxy.dev/spiffe-id", expression="claims.?spiffe.orValue('')"),
    )
    assert issuer.claim_rules == (
        ValidationRule(expression="claims.hd == 'x'", message="not of x"),
    )
    assert issuer.required_claims == (RequiredClaim(claim="a", value="b"),)
    assert issuer.user_rules == (ValidationRule(expression="user.username != 'y@x'"),)


def test_a_mistake_in_an_expression_says_where_it_stands(load):
    _, mistakes = load(one(username='{expression: "claims.sub.splt(1)"}'))
    assert len(mistakes) == 1
    assert mistakes[0].startswith("8:")
    assert (
        "line 1, column 16 of the expression: nothing is known here by the name `splt`"
        in (mistakes[0])
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (one(username="{expression: claims.email}"), "claims.email_verified must be used here"),
        (one(username="{expression: 'claims[\"email\"]'}"), "claims.email_verified must be used"),
        (one(username="{expression: 'claims.?email.orValue(\"\")'}"), "claims.email_verified must"),
        (one(username='{expression: claims.sub, prefix: ""}'), "may not be set beside expression"),
        (one(username="{expression: claims.sub, claim: sub}"), "may not be set beside expression"),
        (one(mappings="uid: {expression: claims.a, claim: a}\n"), "either claim or expression"),
        (one(mappings="uid: {}\n"), "either claim or expression"),
        (one(rest="claimValidationRules:\n- {expression: claims.a}\n"), "must be true or false"),
        (one(rest="userValidationRules:\n- {expression: claims.a == 'x'}\n"), "nothing is known"),
        (one(rest="userValidationRules:\n- {message: x}\n"), "expression"),
        (one(rest="userValidationRules:\n- expression: ''\n"), "must not be empty"),
        (
            one(rest="claimValidationRules:\n- {expression: a == 'x', requiredValue: x}\n"),
            "may not be set beside expression",
        ),
        (
            one(rest="claimValidationRules:\n" + "- {expression: claims.a == 'x'}\n" * 2),
            "is there twice",
        ),
    ],
)
def test_what_kube_apiserver_refuses_is_a_mistake(load, text, message):
    _, mistakes = load(text)
    assert any(message in mistake for mistake in mistakes), mistakes


@pytest.mark.parametrize(
    "text",
    [
        one(username="{expression: 'claims.email_verified ? claims.email : claims.sub'}"),
        one(
            username="{expression: claims.email}",
            rest="claimValidationRules:\n- expression: claims.email_verified == true\n",
        ),
        one(
            username="{expression: claims.email}",
            mappings="extra:\n- {key: example.com/a, valueExpression: claims.?email_verified"
            ".orValue(true) == true ? 'y' : 'n'}\n".replace(": claims.?", ': "claims.?').replace(
                "'n'}", "'n'\"}"
            ),
        ),
    ],
)
def test_an_address_that_must_be_verified_may_name_the_user(load, text):
    _, mistakes = load(text)
    assert mistakes == []


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("claims.roles.map(r, r)", "write dyn(claims.roles)"),
        ("claims.roles.split(',')", "takes no result of `split` itself"),
        ("claims.a ? claims.roles.split(',') : ['x']", "takes no result of `split` itself"),
        ("'a' in claims ? 'x' : 'y'", "only with the name of a claim"),
        ("claims.foo__dot__bar", "must not name a member with `__`"),
        ("claims[claims.a]", "named by a literal"),
        ("string(claims.a)", "`string` is not available"),
        ("quantity('1').isInteger() ? 'a' : 'b'", "nothing is known here by the name"),
        ("claims.a.find('x')", "nothing is known here by the name"),
        ("url(claims.a).getHost()", "nothing is known here by the name"),
        ("'%s'.format([claims.a])", "`format` is not available"),
        ("claims.a.reverse()", "`reverse` is not available"),
        ("[1, 2].sum() == 3 ? 'a' : 'b'", "nothing is known here by the name"),
        ("['a', 1]", "list of several types"),
    ],
)
def test_what_kzproxy_cannot_read_as_kube_apiserver_does_is_a_mistake(load, expression, message):
    quoted = expression.replace("'", "''")
    _, mistakes = load(one(mappings=f"groups: {{expression: '{quoted}'}}\n"))
    assert len(mistakes) == 1, mistakes
    assert message in mistakes[0]
