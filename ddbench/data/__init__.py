"""Data sets by name: opened, split, and in the space of networks."""
