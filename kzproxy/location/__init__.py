"""Where in the world addresses are, as the databases say that an operator names."""
