"""A graded cohort and an annotation study: cases for it, and its consensus against the cohort's grades."""
