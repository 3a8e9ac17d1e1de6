"""A case that is adjudicated."""
