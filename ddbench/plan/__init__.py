"""From a suite to the graph of nodes: rows, grid, what is there already, how long it will take. No torch."""
