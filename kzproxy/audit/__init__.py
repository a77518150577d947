"""The decision log: one record before a request is forwarded, one when it has ended."""
