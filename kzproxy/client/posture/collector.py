"""What every collector does, whatever it asks: this machine's files, osquery, a vendor's agent."""

from typing import Protocol

from kzproxy.client.posture.finding import Posture


class Collector(Protocol):
    """Finds out what is so of this machine."""

    def collect(self) -> Posture:
        """Return all that can be found out within two seconds; never raises.

        What cannot be told is a finding too, with the reason. It needs no root rights, lists no
        processes and reads no files of the user's but settings of the desktop.
        """
