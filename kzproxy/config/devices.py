"""The ``devices`` section: who vouches for devices, and how a machine becomes one."""

from datetime import timedelta
from pathlib import Path

import msgspec
from msgspec import field

from kzproxy.config.document import Node
from kzproxy.config.files import named_file
from kzproxy.devices.enrolment_settings import EnrolmentSettings

_DEFAULT_HOURS = 24
_MAX_HOURS = 7 * 24
_MAX_PER_USER = 1000


class IssuingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What kzproxy issues certificates with.

    Attributes:
        certificate_file: PEM: the authority's, then those above it, if any.
        private_key_file: PEM.
        lifetime: Of a certificate.
    """

    certificate_file: Path
    private_key_file: Path
    lifetime: timedelta


class DeviceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whose word about devices counts.

    Attributes:
        authority_file: PEM bundle of the device CA; None where there is none.
        managed_authority_file: PEM bundle of the CA of an MDM; None where there is none.
        issuing: What kzproxy issues certificates with; None where it issues none.
        enrolment: What is asked of whoever enrols.
    """

    authority_file: Path | None = None
    managed_authority_file: Path | None = None
    issuing: IssuingSettings | None = None
    enrolment: EnrolmentSettings = field(default_factory=EnrolmentSettings)


def load_devices(
    node: Node | None, base: Path, *, has_store: bool, has_sign_in: bool
) -> DeviceSettings:
    """Read the section; None is a configuration without it."""
    if node is None:
        return DeviceSettings()
    fields = node.mapping(
        optional=("certificateAuthorityFile", "enrolment", "issuing", "managedAuthorityFile")
    )
    own = _file(fields, "certificateAuthorityFile", base)
    managed = _file(fields, "managedAuthorityFile", base)
    if own is None and managed is None:
        node.mistake(
            "set certificateAuthorityFile or managedAuthorityFile: who vouches for devices"
        )
    issuing = _issuing(fields["issuing"], base) if "issuing" in fields else None
    needs = (
        (own is not None, "certificateAuthorityFile, by which kzproxy believes what it issues"),
        (has_store, "a store, which keeps the devices: set store.file"),
        # Nothing but what is enrolled is a device then, and nothing could be.
        (has_sign_in, "signIn, on whose listener devices are enrolled"),
    )
    for is_there, what in needs:
        if issuing is not None and not is_there:
            fields["issuing"].mistake(f"needs {what}")
    enrolment = EnrolmentSettings()
    if "enrolment" in fields:
        enrolment = _enrolment(fields["enrolment"])
        if issuing is None:
            fields["enrolment"].mistake("needs issuing: a device is given a certificate")
    return DeviceSettings(
        authority_file=own,
        managed_authority_file=managed,
        issuing=issuing,
        enrolment=enrolment,
    )


def _file(fields: dict[str, Node], name: str, base: Path) -> Path | None:
    return named_file(fields[name], base) if name in fields else None


def _issuing(node: Node, base: Path) -> IssuingSettings:
    fields = node.mapping(required=("certificateFile", "privateKeyFile"), optional=("hours",))
    hours = fields["hours"].integer(1, _MAX_HOURS) if "hours" in fields else _DEFAULT_HOURS
    return IssuingSettings(
        certificate_file=named_file(fields["certificateFile"], base),
        private_key_file=named_file(fields["privateKeyFile"], base),
        lifetime=timedelta(hours=hours),
    )


def _enrolment(node: Node) -> EnrolmentSettings:
    fields = node.mapping(optional=("approveGroups", "perUser"))
    default = EnrolmentSettings()
    groups = default.approve_groups
    if "approveGroups" in fields:
        groups = frozenset(item.string() for item in fields["approveGroups"].sequence())
    per_user = fields["perUser"].integer(1, _MAX_PER_USER) if "perUser" in fields else None
    return EnrolmentSettings(approve_groups=groups, per_user=per_user or default.per_user)
