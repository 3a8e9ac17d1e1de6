"""What both tabs of the panel use."""
