"""Whether one thing asked of a device surely holds wherever another does."""

from datetime import timedelta

from kzproxy.policy.device_features import RISKS, DeviceFeatures, Platform, version_of


def devices_cover(wide: DeviceFeatures, narrow: DeviceFeatures) -> bool:
    """Whether every device of which ``narrow`` holds is one of which ``wide`` does."""
    return (
        narrow.managed >= wide.managed
        and narrow.own >= wide.own
        and wide.state in ("", narrow.state)
        and _checks_cover(wide, narrow)
        and _age_covers(wide.posture_max_age, narrow.posture_max_age)
        and _platforms_cover(wide.platforms, narrow.platforms)
        and risk_covers(wide.max_risk, narrow.max_risk)
    )


def risk_covers(wide: str, narrow: str) -> bool:
    """Whether what is within the risk ``narrow`` is within ``wide``; empty asks for none."""
    return not wide or (bool(narrow) and RISKS.index(narrow) <= RISKS.index(wide))


def _checks_cover(wide: DeviceFeatures, narrow: DeviceFeatures) -> bool:
    if not wide.checks:
        return True
    return wide.checks <= narrow.checks and _age_covers(wide.checks_max_age, narrow.checks_max_age)


def _age_covers(wide: timedelta | None, narrow: timedelta | None) -> bool:
    return wide is None or (narrow is not None and narrow <= wide)


def _platforms_cover(wide: tuple[Platform, ...], narrow: tuple[Platform, ...]) -> bool:
    return not wide or (
        bool(narrow) and all(any(_platform_covers(w, n) for w in wide) for n in narrow)
    )


def _platform_covers(wide: Platform, narrow: Platform) -> bool:
    if wide.name != narrow.name:
        return False
    if not wide.min_version:
        return True
    least, asked = version_of(wide.min_version), version_of(narrow.min_version)
    return least is not None and asked is not None and asked >= least
