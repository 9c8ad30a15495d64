"""What is derived from cells: recovery, regimes, ranks, losslessness, cost."""
