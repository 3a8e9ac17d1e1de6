"""The Qt panels inside Slicer, and what only they need."""
