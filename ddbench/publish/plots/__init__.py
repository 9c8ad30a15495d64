"""Views as pictures, drawn by matplotlib."""
