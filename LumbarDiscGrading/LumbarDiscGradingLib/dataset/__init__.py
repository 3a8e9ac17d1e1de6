"""A labelled data set on disk: manifest and its schema, splits by patient, verifying, reading, writing, import."""
