"""A grading result as DICOM that a PACS keeps: a Segmentation object and a Comprehensive 3D Structured Report."""
