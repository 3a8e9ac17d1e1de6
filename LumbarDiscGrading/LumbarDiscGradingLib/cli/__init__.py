"""The command ``lumbar-disc-grading``."""
