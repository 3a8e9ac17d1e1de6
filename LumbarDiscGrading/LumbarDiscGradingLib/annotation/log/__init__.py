"""What happened, as it was written down."""
