"""Which cases to read next."""
