"""A DICOM study as it comes: its files, the people in it, and the stacks that its images make."""
