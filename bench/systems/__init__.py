"""The systems that are measured, each started in the same way."""
