"""Pictures, tables and text of a result, the same for the command line and the panel."""
