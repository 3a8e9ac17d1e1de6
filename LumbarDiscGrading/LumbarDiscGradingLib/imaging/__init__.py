"""A sagittal volume with its LPS geometry: reading, windowing, resampling to network input and back, disc crops."""
