"""Measures of agreement and of errors: arrays in, numbers out."""
