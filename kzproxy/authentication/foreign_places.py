"""Whether a document of an issuer may send kzproxy to a place that it names."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from kzproxy.authentication.addresses import IPAddress, may_be_sent_to
from kzproxy.transport.resolving import addresses_of


class ForeignPlace(Exception):
    """A place that is not gone to; the message says why."""


async def refuse_foreign_place(place: str, source: str, member: str) -> None:
    """Refuse a URL that the document at ``source`` names as its ``member``.

    Raises:
        ForeignPlace: It is not a plain https URL, or is at an address that the issuer has no
            business to name.
    """
    try:
        target, origin = urlsplit(place), urlsplit(source)
        target_host, origin_host = target.hostname or "", origin.hostname or ""
        target_port = target.port or 443
    except ValueError as error:
        raise ForeignPlace(f"{source}: its `{member}` is not a URL") from error
    if target.scheme != "https" or not target_host or "@" in target.netloc:
        raise ForeignPlace(f"{source}: its `{member}` is not a plain https URL")
    if target_host == origin_host:
        return
    addresses = await _addresses(target_host, target_port, member)
    if not may_be_sent_to(addresses, await _addresses(origin_host, origin.port or 443, member)):
        raise ForeignPlace(f"{source}: its `{member}` is at an internal or link-local address")


async def _addresses(host: str, port: int, member: str) -> set[IPAddress]:
    try:
        found = await addresses_of(host, port)
    except OSError as error:
        raise ForeignPlace(f"the host {host} of `{member}` or its issuer is not known") from error
    return {ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}
