"""The tab *Annotation Review*."""
