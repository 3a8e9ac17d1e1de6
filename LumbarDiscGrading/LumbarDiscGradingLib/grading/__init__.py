"""From a sagittal volume to graded, named and measured discs."""
