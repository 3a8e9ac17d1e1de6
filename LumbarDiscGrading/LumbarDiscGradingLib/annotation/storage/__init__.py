"""Bytes on a disk; knows no reader."""
