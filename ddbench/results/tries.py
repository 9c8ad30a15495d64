"""What choosing among tried configurations is worth: the best of k, and the best within a limit in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import comb
from typing import TypeAlias

import numpy as np

EXACT = 12
"""Configurations up to which all orders of drawing them are counted; beyond, ORDERS of them are drawn."""
ORDERS = 20_000

Keys: TypeAlias = frozenset[str]
"""Keys of the artifacts that a set, or its student, reads."""


@dataclass(frozen=True, slots=True)
class Try:
    """A configuration that was tried.

    Attributes:
        score: What it came to [%]; None: it failed.
        seconds: What it took itself.
        inputs: What it reads → seconds to make that. Whoever tries several pays for each input once.
    """

    score: float | None
    seconds: float
    inputs: Mapping[Keys, float] = field(default_factory=dict)


def seconds_of(tries: Iterable[Try]) -> float:
    """All that several take, one after the other: their own seconds, and those of each input once."""
    return sum(_prices(tries))


def _prices(order: Iterable[Try]) -> Iterator[float]:
    """What each takes where inputs are paid for, whole, by the first that needs them."""
    paid: set[Keys] = set()
    for one in order:
        yield one.seconds + sum(seconds for part, seconds in one.inputs.items() if part not in paid)
        paid |= one.inputs.keys()


def parts_of(readings: Mapping[Keys, float]) -> dict[Keys, dict[Keys, float]]:
    """Take apart what was read, as far as the seconds can be told apart.

    A record knows what all that was read took together. Of {a} and {a, b} the seconds of b are the difference; what
    was never read apart is one part. Of {a, b} and {a, c} nothing is known apart: these are two parts, and a is paid
    for with both.

    Args:
        readings: What was read together → seconds to make it.

    Returns:
        Each of the readings → its parts and their seconds; readings that share what is known apart share the part.
    """
    known: dict[Keys, float] = {}
    found: dict[Keys, dict[Keys, float]] = {}
    for reading in sorted(readings, key=lambda keys: (len(keys), sorted(keys))):
        left, parts = reading, dict[Keys, float]()
        for part, seconds in known.items():
            if part <= left:
                left, parts[part] = left - part, seconds
        if left:
            known[left] = parts[left] = max(0.0, readings[reading] - sum(parts.values()))
        found[reading] = parts
    return found


def best_of(scores: Sequence[float | None], k: int) -> tuple[float | None, float]:
    """What the best of k configurations is worth that are drawn from those tried, without putting back.

    Of the sorted scores s_(1) ≤ … ≤ s_(m) of the m configurations that have one, s_(i) is the best of those drawn with
    probability C(f + i − 1, k − 1) / C(K, k), where f = K − m failed: these rank below all others.

    Args:
        scores: Of K configurations [%]; None: it failed.
        k: How many are drawn, 1 … K.

    Returns:
        The expected best where one of those drawn has a score (None where none ever has), and how probable that is.
    """
    total, ok = len(scores), sorted(score for score in scores if score is not None)
    failed = total - len(ok)
    weights = [comb(failed + i, k - 1) / comb(total, k) for i in range(len(ok))]
    some = sum(weights)
    return (sum(w * s for w, s in zip(weights, ok, strict=True)) / some if some else None), some


def within(tries: Sequence[Try], seconds: float, seed: int = 0) -> tuple[float | None, float]:
    """What tuning is worth that may take so many seconds.

    Configurations are drawn in a random order, all orders alike, and tried one after the other; the first that needs an
    input pays for all of it, and the first that does not fit into what is left ends it. Exact for K ≤ EXACT: a set S of
    j configurations is what was tried with probability 1 / C(K, j) times the share of the others that do not fit after
    it, for what S takes does not depend on its order. Else the mean over ORDERS drawn orders.

    Args:
        tries: K configurations.
        seconds: What there is.
        seed: Of the draws.

    Returns:
        As :func:`best_of`.
    """
    slack = seconds * (1 + 1e-9)  # the cheapest method's own total must not fail by the order of its sum
    found = _exactly(tries, slack) if len(tries) <= EXACT else _drawn(tries, slack, np.random.default_rng([seed, 7]))
    ok = [(weight, best) for weight, best in found if best is not None]
    some = sum(weight for weight, _ in ok)
    return (sum(weight * best for weight, best in ok) / some if ok else None), some


Weighted: TypeAlias = list[tuple[float, float | None]]


def _exactly(tries: Sequence[Try], seconds: float) -> Weighted:
    total, found = len(tries), Weighted()
    for j in range(total + 1):
        for chosen in combinations(range(total), j):
            tried = [tries[i] for i in chosen]
            if seconds_of(tried) > seconds:
                continue
            rest = [one for i, one in enumerate(tries) if i not in chosen]
            ends = sum(seconds_of([*tried, one]) > seconds for one in rest) / len(rest) if rest else 1.0
            if ends:
                found.append((ends / comb(total, j), _best(tried)))
    return found


def _drawn(tries: Sequence[Try], seconds: float, generator: np.random.Generator) -> Weighted:
    found = Weighted()
    for _ in range(ORDERS):
        order = [tries[i] for i in generator.permutation(len(tries))]
        spent = np.cumsum([*_prices(order)])
        found.append((1 / ORDERS, _best(order[: int((spent <= seconds).sum())])))
    return found


def _best(tries: Iterable[Try]) -> float | None:
    return max((one.score for one in tries if one.score is not None), default=None)
