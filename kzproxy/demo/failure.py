"""Why the demo could not do what it was asked."""


class DemoFailure(Exception):
    """The text is for the person at the terminal: what is wrong, and what to do about it."""
