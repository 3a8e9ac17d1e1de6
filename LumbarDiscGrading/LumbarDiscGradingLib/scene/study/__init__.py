"""An annotation study's case in the scene."""
