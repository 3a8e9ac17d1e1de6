"""Which level each disc is: by what is seen of each level on the whole picture, and by counting."""
