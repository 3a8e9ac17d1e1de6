"""Trained networks as folders: manifest, safetensors weights checked by hash, and a card; found by name or path."""
