"""Scores derived from tables: recovery, cost, regimes, ranks, losslessness, many students."""
