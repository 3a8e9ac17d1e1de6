"""The agreement of the readers."""
