"""Files to settings values, with every mistake reported at once."""
