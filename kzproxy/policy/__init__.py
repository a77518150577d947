"""The policy engine: pure functions from attributes and rules to a decision."""
