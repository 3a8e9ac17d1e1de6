"""The course of the spine across the slices of a volume: each disc on the slice that cuts it in the middle."""
