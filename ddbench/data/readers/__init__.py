"""File formats; each reader returns a data set as its source holds it."""
