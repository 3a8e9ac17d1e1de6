"""What is in a study, and what follows from its logs."""
