"""Where nodes run, and in which order."""
