"""What is counted of posture."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class PostureCounts:
    """Running totals of one worker."""

    reports: int = 0
    refused: int = 0
    changes: int = 0
    disputes: int = 0
    drifts: int = 0
    provider_failures: dict[str, int] = field(default_factory=dict)
    provider_answers: dict[str, int] = field(default_factory=dict)

    def of_providers(self) -> dict[tuple[str, ...], int]:
        """Return answers and failures by provider and outcome."""
        found: dict[tuple[str, ...], int] = {}
        for name, count in self.provider_answers.items():
            found[name, "success"] = count
        for name, count in self.provider_failures.items():
            found[name, "failure"] = count
        return found
