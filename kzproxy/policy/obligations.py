"""What a permit asks besides: a closed set, each kept by the engine or by the enforcement point.

The engine judges what can be judged before the request is sent (``mfa``, ``reauth``, ``reason``,
``read_only``, ``dry_run_only``, ``bound``); an allow rule whose obligations are not met permits
nothing. ``max_session`` and ``idle`` end what runs, and are kept by the administrator's leases.
"""

from datetime import timedelta

import msgspec


class MultiFactor(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in of a given strength, recent enough.

    Attributes:
        max_age: Since ``Identity.authenticated_at``; None for any age.
        classes: One of them is its ``acr``; empty where it does not matter.
        methods: One of them is in its ``amr``; empty where it does not matter.
    """

    max_age: timedelta | None = None
    classes: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()


class Obligations(msgspec.Struct, frozen=True, kw_only=True):
    """What one allow rule asks; each that is given must be met.

    Attributes:
        mfa: A strong sign-in.
        reauth: At most so long since the person signed in.
        reason: The user has given a reason.
        max_session: No request under this permit runs longer.
        idle: A stream on which nothing moves for so long ends.
        read_only: ``get``, ``list`` and ``watch`` alone (and reading methods of other URLs).
        dry_run_only: What would change something is a dry run.
        bound: The token is bound to the client certificate that came with it.
    """

    mfa: MultiFactor | None = None
    reauth: timedelta | None = None
    reason: bool = False
    max_session: timedelta | None = None
    idle: timedelta | None = None
    read_only: bool = False
    dry_run_only: bool = False
    bound: bool = False


NO_OBLIGATIONS = Obligations()
