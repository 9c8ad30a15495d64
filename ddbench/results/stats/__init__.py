"""Intervals, tests and resampling; numbers in, numbers out."""

from ddbench.results.stats.bootstrap import Interval, bootstrap, bootstrap_difference
from ddbench.results.stats.intervals import (
    DIGITS,
    LEVEL,
    MARGIN,
    Comparison,
    Paired,
    Scores,
    Summary,
    Verdict,
    compare,
    holm,
    paired,
    smallest_n,
    summary,
)
from ddbench.results.stats.lossless import Lossless, lossless
from ddbench.results.stats.ranks import Friedman, average_ranks, friedman, kendall_tau, ranks

__all__ = [
    "DIGITS",
    "LEVEL",
    "MARGIN",
    "Comparison",
    "Friedman",
    "Interval",
    "Lossless",
    "Paired",
    "Scores",
    "Summary",
    "Verdict",
    "average_ranks",
    "bootstrap",
    "bootstrap_difference",
    "compare",
    "friedman",
    "holm",
    "kendall_tau",
    "lossless",
    "paired",
    "ranks",
    "smallest_n",
    "summary",
]
