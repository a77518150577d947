"""A challenge of the policy engine as the error that its user is told."""

from kzproxy.errors.kinds import StepUpRequired
from kzproxy.policy.decision import Challenge


def step_up_required(challenge: Challenge, message: str) -> StepUpRequired:
    """Return the error; ``message`` is for the user."""
    wanted = challenge.step_up
    age = wanted.asked_max_age
    return StepUpRequired(
        message,
        acr_values=wanted.acr_values,
        max_age_seconds=None if age is None else int(age.total_seconds()),
        command=wanted.command,
    )
