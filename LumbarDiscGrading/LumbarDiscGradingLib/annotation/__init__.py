"""Studies on disk: readings, review workflow, agreement, import and export. Needs no torch, no Slicer and no server."""
