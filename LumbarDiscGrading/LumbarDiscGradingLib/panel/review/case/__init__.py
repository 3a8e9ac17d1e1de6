"""What reading and adjudicating a case share."""
