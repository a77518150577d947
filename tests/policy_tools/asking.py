"""Random questions in a small world, so that rules are hit often."""

from datetime import UTC, datetime
from ipaddress import ip_address

from hypothesis import strategies as st

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE, DevicePosture, Fact
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo

AT = datetime(2026, 3, 4, 9, tzinfo=UTC)
NIGHT = datetime(2026, 3, 4, 23, tzinfo=UTC)
EXCEPTED = datetime(2026, 3, 5, 9, tzinfo=UTC)
OFFICE = (ip_address("192.0.2.7"), ip_address("203.0.113.7"))

PATHS = [
    "/api",
    "/api/",
    "/healthz",
    "/version",
    "/api/v1/pods",
    "/api/v1/secrets",
    "/api/v1/namespaces/dev/pods",
    "/api/v1/namespaces/dev/pods/web",
    "/api/v1/namespaces/dev-a/pods/web-1",
    "/api/v1/namespaces/dev-a/pods/web-1/log",
    "/api/v1/namespaces/prod/secrets/web",
    "/api/v1/namespaces/prod/pods/db/log",
    "/apis/apps/v1/namespaces/prod/deployments",
    "/apis/apps/v1/namespaces/dev/deployments/web",
    "/api/v1/nodes/n1/proxy/",
]


def requests():
    """Strategy for requests that can be sent."""
    methods = st.sampled_from(["GET", "POST", "DELETE", "PATCH"])
    parsed = st.builds(RequestInfo.parse, methods, st.sampled_from(PATHS))
    # kube-apiserver answers 405 to a POST on an object, whatever a rule says.
    return parsed.filter(lambda r: not (r.verb == "create" and r.name and not r.subresource))


@st.composite
def subjects(draw):
    """Strategy for people of a few groups."""
    groups = draw(st.lists(st.sampled_from(["g", "h"]), unique=True))
    return Identity(
        username=draw(st.sampled_from(["ann", "ben"])),
        groups=tuple(groups),
        method="oidc",
        issuer="https://issuer.example",
        subject="s",
        expires_at=datetime(2027, 1, 1, tzinfo=UTC),
        authentication_class=draw(st.sampled_from(["", "phr"])),
        authenticated_at=draw(st.sampled_from([None, AT])),
    )


@st.composite
def questions(draw):
    """Strategy for all that a decision rests on."""
    enrolled = DevicePosture(enrolled=Fact.PASSED, device_id="d")
    return Attributes(
        subject=draw(subjects()),
        device=draw(st.sampled_from([NO_DEVICE, enrolled])),
        request=draw(requests()),
        environment=Environment(
            received_at=draw(st.sampled_from([AT, NIGHT, EXCEPTED])),
            source_address=draw(st.sampled_from(OFFICE)),
            reason=draw(st.sampled_from(["", "INC-1"])),
        ),
        namespace_labels=draw(st.sampled_from([None, (), (("env", "prod"),)])),
    )
