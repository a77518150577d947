"""Pure values that a decision is made of: who, from what device, asking what, when and from where."""
