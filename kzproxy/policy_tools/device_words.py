"""What is asked of a device, in the words of the file."""

from kzproxy.policy.device_features import OWNER_SELF, DeviceFeatures, Platform
from kzproxy.policy_tools.given_words import Words, duration_text, given_words


def device_words(asked: DeviceFeatures) -> Words:
    """Return the fields of ``device`` but for enrolment and tiers."""
    checks = {
        "passed": sorted(asked.checks),
        "maxAge": asked.checks_max_age and duration_text(asked.checks_max_age),
    }
    age = asked.posture_max_age
    platforms = {platform_words(each): None for each in asked.platforms}
    return given_words(
        {
            "managed": asked.managed or None,
            "state": asked.state,
            "owner": OWNER_SELF if asked.own else None,
            "checks": given_words(checks),
            "postureAge": {"atMost": duration_text(age)} if age is not None else None,
            "os": [dict(each) for each in sorted(platforms)],
        }
    ) | risk_words(asked.max_risk)


def risk_words(most: str) -> Words:
    """Return ``risk``, where it is asked for."""
    return {"risk": {"atMost": most}} if most else {}


def platform_words(platform: Platform) -> tuple[tuple[str, str], ...]:
    """Return the fields of a platform."""
    version = platform.min_version
    return (("platform", platform.name), *((("minVersion", version),) if version else ()))
