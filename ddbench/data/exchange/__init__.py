"""Sets made elsewhere, and our own in formats that others read."""
