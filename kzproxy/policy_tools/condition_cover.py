"""Whether one condition surely holds wherever another does, kind by kind.

"Holds wherever" is meant in the order false, unknown, true: so that it is right of allow rules, for
which the unknown does not hold, and of deny rules, for which it does.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import TypeVar

from kzproxy.policy.calendar import MINUTES_A_DAY, Calendar, DatedWindow, WeeklyWindow
from kzproxy.policy.network import IPNetwork, Network
from kzproxy.policy.obligations import MultiFactor, Obligations
from kzproxy.policy.rules import Conditions, ObjectFeatures, RequestFeatures, SignIn
from kzproxy.policy_tools.device_cover import risk_covers
from kzproxy.policy_tools.rule_reach import globs_cover, selector_covers
from kzproxy.policy_tools.shift import Shift, compared, together

_One = TypeVar("_One", str, int)
_MINUTES_A_WEEK = 7 * MINUTES_A_DAY


def plain_shifts(old: Conditions, new: Conditions) -> dict[str, Shift]:
    """Return how each kind of condition differs that does not hang on other definitions."""
    return {
        "networks": compared(_networks_cover, old.networks, new.networks),
        "countries": compared(_one_of_covers, old.countries, new.countries),
        "asns": compared(_one_of_covers, old.asns, new.asns),
        "time": compared(_times_cover, old.time, new.time),
        "authentication": compared(_sign_ins_cover, old.sign_in, new.sign_in),
        "session": together(
            [
                compared(age_covers, old.session_max_age, new.session_max_age),
                compared(_flag_covers, old.session_kept, new.session_kept),
                compared(_flag_covers, old.session_same_address, new.session_same_address),
                compared(_flag_covers, old.session_same_country, new.session_same_country),
                compared(risk_covers, old.session_max_risk, new.session_max_risk),
            ]
        ),
        "workload": compared(_optional_globs_cover, old.workloads, new.workloads),
        "request": compared(_requests_cover, old.request, new.request),
        "object": compared(_objects_cover, old.api_object, new.api_object),
    }


def obligation_shifts(old: Obligations, new: Obligations) -> dict[str, Shift]:
    """Return how each obligation differs; wider is what lets more in, or lets it stay longer."""
    return {
        "mfa": compared(_factors_cover, old.mfa, new.mfa),
        "reauth": compared(age_covers, old.reauth, new.reauth),
        "reason": _asked_shift(old.reason, new.reason),
        "maxSession": compared(age_covers, old.max_session, new.max_session),
        "idle": compared(age_covers, old.idle, new.idle),
        "readOnly": _asked_shift(old.read_only, new.read_only),
        "dryRunOnly": _asked_shift(old.dry_run_only, new.dry_run_only),
        "bound": _asked_shift(old.bound, new.bound),
    }


def _asked_shift(was: object, is_now: object) -> Shift:
    if was == is_now:
        return Shift.NONE
    return Shift.NARROWER if is_now else Shift.WIDER


def age_covers(wide: timedelta | None, narrow: timedelta | None) -> bool:
    """Whether what is young enough for ``narrow`` is for ``wide``; None asks for no age."""
    return wide is None or (narrow is not None and narrow <= wide)


def _flag_covers(wide: bool, narrow: bool) -> bool:  # noqa: FBT001
    return narrow or not wide


def networks_cover(wide: Iterable[Network], narrow: Iterable[Network]) -> bool:
    """Whether every address of ``narrow`` is one of ``wide``."""
    held = _collapsed(wide)
    return all(any(_is_within(block, each) for each in held) for block in _collapsed(narrow))


def calendar_covers(wide: Calendar, narrow: Calendar) -> bool:
    """Whether ``wide`` is open whenever ``narrow`` is."""
    return (
        wide.zone_name == narrow.zone_name
        and (wide.holidays is None or wide.holidays == narrow.holidays)
        and _minutes(narrow.weekly) <= _minutes(wide.weekly)
        and _windows_cover(wide.dated, narrow.dated)
        and _windows_cover(narrow.exceptions, wide.exceptions)
    )


def _networks_cover(wide: Sequence[Network], narrow: Sequence[Network]) -> bool:
    return not wide or (bool(narrow) and networks_cover(wide, narrow))


def _collapsed(networks: Iterable[Network]) -> list[IPNetwork]:
    blocks = [block for network in networks for block in network.blocks]
    v4 = collapse_addresses(each for each in blocks if isinstance(each, IPv4Network))
    v6 = collapse_addresses(each for each in blocks if isinstance(each, IPv6Network))
    return [*v4, *v6]


def _is_within(block: IPNetwork, other: IPNetwork) -> bool:
    if isinstance(block, IPv4Network):
        return isinstance(other, IPv4Network) and block.subnet_of(other)
    return isinstance(other, IPv6Network) and block.subnet_of(other)


def _times_cover(wide: Sequence[Calendar], narrow: Sequence[Calendar]) -> bool:
    return not wide or (
        bool(narrow) and all(any(calendar_covers(w, n) for w in wide) for n in narrow)
    )


def _minutes(windows: Iterable[WeeklyWindow]) -> frozenset[int]:
    """Return the minutes of the week, by the wall clock, in which one of the windows is."""
    found: set[int] = set()
    for window in windows:
        length = window.to_minute - window.from_minute
        if length <= 0:
            length += MINUTES_A_DAY
        for day in window.days:
            start = day * MINUTES_A_DAY + window.from_minute
            found |= {minute % _MINUTES_A_WEEK for minute in range(start, start + length)}
    return frozenset(found)


def _windows_cover(wide: Iterable[DatedWindow], narrow: Iterable[DatedWindow]) -> bool:
    held = list(wide)
    return all(any(w.start <= each.start and each.end <= w.end for w in held) for each in narrow)


def _one_of_covers(wide: frozenset[_One], narrow: frozenset[_One]) -> bool:
    return not wide or (bool(narrow) and narrow <= wide)


def _optional_globs_cover(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    return not wide or (bool(narrow) and globs_cover(wide, narrow))


def _sign_ins_cover(wide: SignIn | None, narrow: SignIn | None) -> bool:
    if wide is None:
        return True
    asked = narrow or SignIn()
    return (
        age_covers(wide.max_age, asked.max_age)
        and _one_of_covers(wide.classes, asked.classes)
        and _one_of_covers(wide.methods, asked.methods)
        and _one_of_covers(wide.issuers, asked.issuers)
    )


def _factors_cover(wide: MultiFactor | None, narrow: MultiFactor | None) -> bool:
    if wide is None:
        return True
    asked = narrow or MultiFactor()
    return (
        age_covers(wide.max_age, asked.max_age)
        and _one_of_covers(wide.classes, asked.classes)
        and _one_of_covers(wide.methods, asked.methods)
    )


def _requests_cover(wide: RequestFeatures | None, narrow: RequestFeatures | None) -> bool:
    if wide is None:
        return True
    asked = narrow or RequestFeatures()
    return (
        _optional_globs_cover(wide.user_agents, asked.user_agents)
        and wide.dry_run in (None, asked.dry_run)
        and _optional_globs_cover(wide.commands, asked.commands)
        and _optional_globs_cover(wide.containers, asked.containers)
    )


def _objects_cover(wide: ObjectFeatures | None, narrow: ObjectFeatures | None) -> bool:
    if wide is None:
        return True
    if narrow is None:
        # Even one that asks for anything asks for an object that is known.
        return False
    return (
        wide.privileged in (None, narrow.privileged)
        and wide.host_namespaces in (None, narrow.host_namespaces)
        and _optional_globs_cover(wide.service_accounts, narrow.service_accounts)
        and _optional_globs_cover(wide.images, narrow.images)
        and selector_covers(wide.labels, narrow.labels)
    )
