"""Intervals, tests and verdicts; numbers in, numbers out."""

from ddbench.results.stats.families import Family, family
from ddbench.results.stats.intervals import DIGITS, LEVEL, MARGIN, Paired, Scores, Summary, paired, summary
from ddbench.results.stats.noninferior import Against, Crossed, NonInferior, against_full, non_inferior
from ddbench.results.stats.ranks import Friedman, average_ranks, friedman, kendall_tau, ranks
from ddbench.results.stats.verdicts import (
    LEAST_POWER,
    MOST_N,
    Comparison,
    Need,
    Verdict,
    compare,
    holm,
    minus_random,
    needed_n,
    smallest_n,
)

__all__ = [
    "DIGITS",
    "LEAST_POWER",
    "LEVEL",
    "MARGIN",
    "MOST_N",
    "Against",
    "Comparison",
    "Crossed",
    "Family",
    "Friedman",
    "Need",
    "NonInferior",
    "Paired",
    "Scores",
    "Summary",
    "Verdict",
    "against_full",
    "average_ranks",
    "compare",
    "family",
    "friedman",
    "holm",
    "kendall_tau",
    "minus_random",
    "needed_n",
    "non_inferior",
    "paired",
    "ranks",
    "smallest_n",
    "summary",
]
