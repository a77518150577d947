"""Facts about a caller that others keep up to date: asked whenever a request is judged again."""

from datetime import datetime
from typing import Protocol

from kzproxy.attributes.attributes import Attributes


class Restates(Protocol):
    """Knows some facts of a request as they are now."""

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:
        """Return the facts as they stand at ``now``: the very same object where nothing changed.

        Never waits.

        Raises:
            ProxyError: Whoever calls is nobody any more, or nobody can tell.
        """
