"""Views as plain text, markdown, LaTeX, CSV and JSON."""
