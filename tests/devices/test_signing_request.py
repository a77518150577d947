"""What is taken from a certificate signing request: its key."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.devices.signing_request import MAX_REQUEST_BYTES, requested_key
from kzproxy.errors.kinds import BadRequest

KEY = ec.generate_private_key(ec.SECP256R1())


def request(key=KEY, *, algorithm=None, extensions=(), subject=()):
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in subject])
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, algorithm or hashes.SHA256())


def pem(signed):
    return signed.public_bytes(Encoding.PEM).decode()


GOOD = pem(request())


def test_the_key_of_a_request_is_its_own():
    assert requested_key(GOOD) == KEY.public_key()


def test_nothing_else_of_a_request_is_looked_at():
    asks_for_much = request(
        subject=["admin", "system:masters"],
        extensions=[
            x509.BasicConstraints(ca=True, path_length=None),
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier("urn:kzproxy:device:another")]
            ),
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        ],
    )
    assert requested_key(pem(asks_for_much)) == KEY.public_key()


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "secp256k1", "RSA"],
)
def test_a_key_of_another_kind_is_refused(key):
    with pytest.raises(BadRequest, match="P-256"):
        requested_key(pem(request(key)))


def test_an_edwards_key_is_refused():
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.sign(ed25519.Ed25519PrivateKey.generate(), None)
    with pytest.raises(BadRequest, match="P-256"):
        requested_key(pem(signed))


def test_a_request_for_a_key_that_did_not_sign_it_is_refused():
    mine = request().public_bytes(Encoding.DER)
    spki = KEY.public_key()
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = (Encoding.X962, PublicFormat.UncompressedPoint)
    stolen = mine.replace(spki.public_bytes(*form), other.public_bytes(*form))
    assert stolen != mine
    signed = x509.load_der_x509_csr(stolen)
    with pytest.raises(BadRequest, match="not signed by its own key"):
        requested_key(pem(signed))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        GOOD + GOOD,
        GOOD + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "before\n" + GOOD,
        GOOD + "after",
        GOOD.replace("CERTIFICATE REQUEST", "CERTIFICATE"),
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        GOOD + "\n" * MAX_REQUEST_BYTES,
    ],
)
def test_what_is_not_one_request_is_refused(text):
    with pytest.raises(BadRequest, match="certificate signing request"):
        requested_key(text)


@given(st.text())
def test_any_text_is_refused_in_words(text):
    with pytest.raises(BadRequest):
        requested_key(text)


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="ascii"))
def test_a_request_that_was_changed_is_refused_or_is_the_same(place, letter):
    """A letter of Base64 that ends a line may differ and say the same."""
    try:
        key = requested_key(GOOD[:place] + letter + GOOD[place + 1 :])
    except BadRequest:
        return
    assert key == KEY.public_key()
