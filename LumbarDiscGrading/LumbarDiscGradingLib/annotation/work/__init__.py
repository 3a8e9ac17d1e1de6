"""A reader at work."""
