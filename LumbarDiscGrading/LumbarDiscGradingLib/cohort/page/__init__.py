"""The page of a cohort: one file to look over all its scans, with their thumbnails in a folder beside it."""

from __future__ import annotations

from .writing import PAGE_FILE, write_page

__all__ = ("PAGE_FILE", "write_page")
