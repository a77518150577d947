"""The policy enforcement point: from an accepted request to its end."""
