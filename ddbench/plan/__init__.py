"""A suite becomes a graph of nodes: rows, grid, keys, what is there already, how long the rest takes. No torch."""
