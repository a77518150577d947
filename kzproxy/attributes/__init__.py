"""Pure values that a decision is made of: who, which device, asking what, when, from where."""
