"""Expressions in CEL, bounded: compiled with located errors, evaluated on named values."""
