"""Training of the two networks from labelled data sets, with Lightning and MONAI."""
