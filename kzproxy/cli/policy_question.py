"""The options of ``kzproxy policy explain`` that say who asks what, and from where."""

from collections.abc import Callable
from pathlib import Path

import click

from kzproxy.cli.policy_options import AT
from kzproxy.policy.device_features import RISKS
from kzproxy.policy.location import MAX_ASN

FILE = click.Path(path_type=Path, dir_okay=False)


class _Pair(click.ParamType[tuple[str, str]]):
    """``KEY=VALUE``."""

    name = "key=value"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split at the first ``=``."""
        key, equals, rest = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value} must be written KEY=VALUE", param, ctx)
        return key, rest


_PAIR = _Pair()
# Empty where it is not known, as elsewhere here.
_RISK = click.Choice([*RISKS, ""])
_Decorator = Callable[[Callable[..., None]], Callable[..., None]]
_WHO: tuple[_Decorator, ...] = (
    click.option("--user", help="Name of the user, as kzproxy knows it."),
    click.option("--group", "groups", multiple=True, help="A group of the user; may be repeated."),
    click.option("--uid", default="", help="UID of the user."),
    click.option("--extra", type=_PAIR, multiple=True, help="An extra of the user: KEY=VALUE."),
    click.option("--issuer", default="", help="Issuer (iss) that vouches for the user."),
    click.option("--spiffe-id", default="", help="SPIFFE ID of a workload."),
    click.option("--signed-in", metavar="AGE", default="", help="How long ago: 90s, 15m, 8h, 30d."),
    click.option(
        "--session-age",
        metavar="AGE",
        default="",
        help="Age of the session, or of the token (iat); else --signed-in.",
    ),
    click.option("--session", "session_kept", is_flag=True, help="kzproxy keeps the session."),
    click.option(
        "--session-risk", type=_RISK, metavar="LEVEL", default="", help="LOW, MEDIUM or HIGH."
    ),
    click.option(
        "--signed-in-from",
        metavar="ADDRESS",
        default="",
        help="Where the session was signed in; elsewhere than --from it has moved.",
    ),
    click.option("--sign-in-country", default="", help="Country of that address."),
    click.option("--class", "authentication_class", default="", help="Class (acr) of the sign-in."),
    click.option("--method", "methods", multiple=True, help="A method (amr) of the sign-in."),
    click.option("--bound", is_flag=True, help="The token is bound to the client certificate."),
)
_FROM_WHERE: tuple[_Decorator, ...] = (
    click.option("--device-enrolled", is_flag=True, help="The device is enrolled."),
    click.option("--device-id", default="", help="Id of the device."),
    click.option("--device-managed", is_flag=True, help="The organisation manages the device."),
    click.option("--device-state", default="", help="In the registry: approved, pending, blocked."),
    click.option("--device-owner", default="", help="User name of who enrolled the device."),
    click.option(
        "--device-passed", metavar="CHECK", multiple=True, help="A check of the device that passed."
    ),
    click.option(
        "--device-failed", metavar="CHECK", multiple=True, help="A check of the device that failed."
    ),
    click.option(
        "--posture-age", metavar="AGE", default="", help="Age of the device's report and checks."
    ),
    click.option("--os", default="", help="Operating system of the device, such as ubuntu."),
    click.option("--os-version", default="", help="Its version, such as 24.04."),
    click.option(
        "--device-risk", type=_RISK, metavar="LEVEL", default="", help="LOW, MEDIUM or HIGH."
    ),
    click.option("--from", "source", default="192.0.2.1", show_default=True, metavar="ADDRESS"),
    click.option("--country", default="", help="Country of that address: an ISO code, such as DE."),
    click.option(
        "--asn",
        type=click.IntRange(0, MAX_ASN),
        default=0,
        help="Autonomous system of that address.",
    ),
    click.option("--at", type=AT, help="When; by default now."),
    click.option("--user-agent", default="", help="What the client says it is."),
    click.option("--reason", default="", help="The reason that the user gave."),
)
_WHAT: tuple[_Decorator, ...] = (
    click.option("-n", "--namespace", default="", help="Namespace of the request."),
    click.option("--api-version", default="v1", show_default=True, help="Version of the API."),
    click.option("--field-selector", default="", help="Of a list or watch."),
    click.option("--label-selector", default="", help="Of a list or watch."),
    click.option("--dry-run", is_flag=True, help="It is a dry run."),
    click.option("--command", multiple=True, help="A word of an exec's command; may be repeated."),
    click.option("--container", default="", help="Container that an exec, attach or log names."),
    click.option(
        "--namespace-label",
        "namespace_labels",
        type=_PAIR,
        multiple=True,
        help="A label of the namespace: KEY=VALUE; without any, none is known.",
    ),
    click.option(
        "--object",
        "object_file",
        type=FILE,
        help="Manifest of the object: what is written, or the pod that is entered.",
    ),
)
_WHICH: tuple[_Decorator, ...] = (
    click.option("--case-file", type=FILE, help="Explain a case of this PolicyTest file instead."),
    click.option("--case", "case_name", default="", help="Name of the case."),
    click.option(
        "--from-record", metavar="AUDIT-ID", help="Explain this decision of --log as it was."
    ),
    click.option("--log", "logs", type=FILE, multiple=True, help="A decision log."),
)


def _options(*groups: tuple[_Decorator, ...]) -> _Decorator:
    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        for option in reversed([option for group in groups for option in group]):
            function = option(function)
        return function

    return decorate


QUESTION = _options(_WHO, _FROM_WHERE, _WHAT, _WHICH)
