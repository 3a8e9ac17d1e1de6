"""The research-use statement, said once for every output."""

RESEARCH_USE = "For research use only. Not for diagnosis or treatment decisions."
"""Shown in pictures, text and JSON of every result, and in each model's manifest."""
