"""A Slicer core without Qt, for the command line and for tests."""
