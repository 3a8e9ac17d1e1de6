"""Training the SpineNet."""
