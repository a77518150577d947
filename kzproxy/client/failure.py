"""Why the user's side could not do what it was asked."""


class ClientFailure(Exception):
    """What the user must be told, in one line: what is wrong and what to do.

    Never holds a credential.
    """
