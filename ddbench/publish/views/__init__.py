"""One list of columns for each view, read by every format."""
