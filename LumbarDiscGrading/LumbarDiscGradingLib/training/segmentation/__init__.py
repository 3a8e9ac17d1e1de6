"""Training the U-Net."""
