"""Results against references: tables, figures, comparisons of two models."""
