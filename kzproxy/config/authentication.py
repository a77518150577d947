"""``AuthenticationConfiguration``: whose tokens are believed, in kube-apiserver's own words.

The fields and rules are those of apiserver.config.k8s.io/v1 (staging/src/k8s.io/apiserver/pkg/apis/
apiserver/validation/validation.go), so that a file which serves kube-apiserver serves kzproxy. What
kzproxy's CEL cannot do is a mistake and never skipped: a rule that is skipped lets in whom it was
to keep out.
"""

from pathlib import Path

from kzproxy.authentication.settings import JwtIssuerSettings
from kzproxy.config.addresses import names_https_host
from kzproxy.config.claim_mappings import check_email_verified, extra, named_by, uid
from kzproxy.config.claim_rules import Seen, claim_rules, user_rules
from kzproxy.config.document import Mistakes, Node, read_document
from kzproxy.config.files import is_authority

API_VERSIONS = ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1")
KIND = "AuthenticationConfiguration"
MAX_ISSUERS = 64  # as kube-apiserver


def load_authentication(path: Path, mistakes: Mistakes) -> tuple[JwtIssuerSettings, ...]:
    """Read the issuers of a file; what is wrong is added to ``mistakes``.

    The result may be used only if there were none.
    """
    fields = read_document(path, mistakes).mapping(
        required=("apiVersion", "kind", "jwt"), optional=("anonymous",)
    )
    fields["apiVersion"].choice(API_VERSIONS)
    fields["kind"].choice((KIND,))
    if "anonymous" in fields:
        _refuse_anonymous(fields["anonymous"])
    issuers = fields["jwt"].sequence()
    if fields["jwt"].is_sequence() and not 1 <= len(issuers) <= MAX_ISSUERS:
        fields["jwt"].mistake(f"must name from 1 to {MAX_ISSUERS} issuers")
    seen = Seen()
    return tuple(_issuer(node, seen) for node in issuers)


def _refuse_anonymous(node: Node) -> None:
    fields = node.mapping(required=("enabled",), optional=("conditions",))
    if fields["enabled"].boolean():
        fields["enabled"].mistake("must be false: kzproxy lets nobody in without a credential")
    if "conditions" in fields:
        fields["conditions"].mistake("must be left out: kzproxy lets nobody in without credential")


def _issuer(node: Node, seen: Seen) -> JwtIssuerSettings:
    fields = node.mapping(
        required=("issuer", "claimMappings"),
        optional=("claimValidationRules", "userValidationRules"),
    )
    issuer = fields["issuer"].mapping(
        required=("url", "audiences"),
        optional=("discoveryURL", "audienceMatchPolicy", "certificateAuthority"),
    )
    mappings = fields["claimMappings"].mapping(
        required=("username",), optional=("groups", "uid", "extra")
    )
    url = _https_url(issuer["url"])
    seen.once(issuer["url"], "issuer", url)
    required_claims, rules = claim_rules(fields)
    settings = JwtIssuerSettings(
        url=url,
        discovery_url=_discovery_url(issuer, url, seen),
        audiences=_audiences(issuer),
        certificate_authority_pem=_certificate_authority(issuer),
        username=named_by(mappings["username"]),
        groups=named_by(mappings["groups"]) if "groups" in mappings else None,
        uid_claim=uid(mappings, "claim"),
        uid_expression=uid(mappings, "expression"),
        extra=extra(mappings["extra"].sequence()) if "extra" in mappings else (),
        required_claims=required_claims,
        claim_rules=rules,
        user_rules=user_rules(fields),
    )
    check_email_verified(mappings["username"], settings)
    return settings


def _https_url(node: Node) -> str:
    text = node.string()
    if text and not _is_plain_https(text):
        node.mistake(
            "must be an https URL without user name, query and fragment,"
            " such as https://idp.example.com/realms/main"
        )
    return text


def _is_plain_https(text: str) -> bool:
    return names_https_host(text) and not any(mark in text for mark in "@?#")


def _discovery_url(issuer: dict[str, Node], url: str, seen: Seen) -> str:
    if "discoveryURL" not in issuer:
        return ""
    discovery_url = _https_url(issuer["discoveryURL"])
    if url and discovery_url.rstrip("/") == url.rstrip("/"):
        issuer["discoveryURL"].mistake(
            "must be the URL of the discovery document itself, and so differ from url"
        )
    seen.once(issuer["discoveryURL"], "discoveryURL", discovery_url)
    return discovery_url


def _audiences(issuer: dict[str, Node]) -> tuple[str, ...]:
    audiences = issuer["audiences"].strings()
    if len(set(audiences)) != len(audiences):
        issuer["audiences"].mistake("must not name an audience twice")
    if "audienceMatchPolicy" in issuer:
        issuer["audienceMatchPolicy"].choice(("MatchAny",))
    elif len(audiences) > 1:
        issuer["audiences"].mistake(
            "several audiences need audienceMatchPolicy: MatchAny beside them"
        )
    return audiences


def _certificate_authority(issuer: dict[str, Node]) -> str:
    if "certificateAuthority" not in issuer:
        return ""
    pem = issuer["certificateAuthority"].string()
    if pem and not is_authority(pem):
        issuer["certificateAuthority"].mistake(
            "must hold certificates as PEM text, -----BEGIN CERTIFICATE----- and so on;"
            " it is not the name of a file"
        )
    return pem
