"""What the benchmarks share: a process per side, turns, rows, and how results are written."""
