"""The tab *Grade Discs*."""
