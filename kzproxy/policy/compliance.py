"""What outweighs all that a device shows: that it is said not to comply."""

from kzproxy.attributes.device import DevicePosture, Fact

COMPLIANT = "compliant"

NOT_COMPLIANT = "whoever manages it says that it does not comply; see `kzproxy device status`"


def is_held_not_compliant(device: DevicePosture) -> bool:
    """Whether somebody who is believed says so; that it was long ago does not make it better."""
    return any(name == COMPLIANT and known.fact is Fact.FAILED for name, known in device.checks)
