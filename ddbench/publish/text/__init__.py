"""Tables and views as text, CSV, JSON and LaTeX, with captions and legends."""
