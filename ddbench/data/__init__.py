"""Data sets: records, readers, decoded copies, splits, views and preprocessing; importing it imports no torch."""
