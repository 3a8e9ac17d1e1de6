"""Holds the module's panel outside Slicer: Slicer's MRML and logics with Qt, under the rules of Slicer's PythonQt."""
