"""Into a study and out of it."""
