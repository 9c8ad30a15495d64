"""Views as pictures, drawn by matplotlib."""

ENDINGS = (".png", ".svg")
"""How the name of a picture may end."""
