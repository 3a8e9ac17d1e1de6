"""Many studies as one job: finding them, resuming, one table and one page of all, worker processes and clusters."""
