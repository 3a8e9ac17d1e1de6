"""*Grade all loaded T2 volumes*: one after the other in the background, listed, with one table of all."""
