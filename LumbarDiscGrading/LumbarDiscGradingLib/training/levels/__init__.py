"""Training the locator of disc levels."""
