"""A case that is read or peer-reviewed."""
