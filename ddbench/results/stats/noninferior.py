"""Whether a condensed set does as well as all the data: non-inferiority over repetitions and test images at once.

Symbols: ``n`` repetitions, ``T`` test images. Another condensation would give another accuracy, and so would another
test set, so both are random; all repetitions meet the same images, so they are crossed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from ddbench.results.stats.intervals import LEVEL, MARGIN
from ddbench.results.stats.verdicts import holm, one_sided_power, smallest_n

Correct: TypeAlias = npt.ArrayLike
"""Correctness [n, T]: 1 where the student of a repetition was right about an image, else 0; students of one repetition
averaged, so values lie in [0, 1]. Images in the same order for all, repetition r in row r."""

ERROR_SHARE = 0.1
"""The part of full's error that a set may lose at most."""

_ALPHA = 1 - LEVEL


@dataclass(frozen=True, slots=True)
class Crossed:
    """The mean of a crossed layout of repetitions and images, and how far it may be off.

    Attributes:
        difference: Mean over all repetitions and images [points].
        se: Its standard error [points].
        df: Degrees of freedom of ``se``.
        n: Repetitions.
        n_test: Test images.
        sd_rep: Between repetitions, images and interaction taken out [points].
        sd_img: Between images, the same of repetitions [points per image].
        sd_int: Of the interaction [points per image].
    """

    difference: float
    se: float
    df: float
    n: int
    n_test: int
    sd_rep: float
    sd_img: float
    sd_int: float


@dataclass(frozen=True, slots=True)
class Against:
    """A set beside one ``full``.

    Attributes:
        crossed: Accuracy of the set minus that of ``full``.
        margin: δ, the smaller of 0.5 points and a tenth of full's error [points].
        low: Lower end of the one-sided 95 % interval of the difference [points]: above −δ it shows the claim, before
            it is adjusted for other claims.
        p: One-sided p-value of a true difference of −δ.
    """

    crossed: Crossed
    margin: float
    low: float
    p: float

    def power(self, level: float = _ALPHA) -> float:
        """Chance to find a set that equals ``full`` non-inferior, were the measured components the true ones."""
        found = self.crossed
        if self.margin <= 0 or found.se == 0:
            return float(self.margin > 0)
        return float(one_sided_power(np.asarray(self.margin / found.se), np.asarray(found.df), level))


@dataclass(frozen=True, slots=True)
class NonInferior:
    """The verdict on one claim of a page.

    Attributes:
        verdict: ``lossless``, or ``not shown`` (never "lossy": absence of evidence).
        p: Adjusted for all claims of the page (Holm); the larger of those against each ``full``.
        hardest: Name of the ``full`` that p is about.
        power: Chance of the verdict for a set that equals every ``full``, at the measured components and at level 0.05
            divided by the number of claims: the product of those against each ``full``, a little too low, because
            these share the set.
    """

    verdict: Literal["lossless", "not shown"]
    p: float
    hardest: str
    power: float


def crossed(differences: npt.ArrayLike) -> Crossed:
    r"""Mean of a matrix [n, T] whose rows and columns are both random draws, with its standard error.

    The model is D_rt = μ + ρ_r + β_t + γ_rt with variances σ²_rep, σ²_img, σ²_int. Without replication the mean squares
    and what they estimate are

        MS_rep = T Σ_r (D_r· − D_··)² / (n − 1)                          σ²_int + T σ²_rep
        MS_img = n Σ_t (D_·t − D_··)² / (T − 1)                          σ²_int + n σ²_img
        MS_int = Σ_rt (D_rt − D_r· − D_·t + D_··)² / ((n − 1)(T − 1))    σ²_int

    Var(D_··) = σ²_rep/n + σ²_img/T + σ²_int/(nT), so (MS_rep + MS_img − MS_int)/(nT) is unbiased for it. With
    s²_rep = MS_rep/T, the variance of the means of repetitions, s²_img = MS_img/n, that of the means of images, and
    s²_int = MS_int, it reads V = s²_rep/n + s²_img/T − s²_int/(nT): each of the first two contains the interaction
    once, so that one of them is taken off. V is never below s²_rep/n = MS_rep/(nT), which is the same as
    max(0, MS_img − MS_int): no negative σ²_img. Satterthwaite's degrees of freedom of a sum Σ c_k MS_k with ν_k are
    V² / Σ (c_k MS_k)²/ν_k; at the floor only MS_rep is left, with n − 1.

    Args:
        differences: [n, T] in [−1, 1], n and T at least 2.
    """
    values = np.asarray(differences, dtype=np.float64)
    n, n_test = values.shape
    mean = float(values.mean())
    by_rep, by_img = values.mean(axis=1) - mean, values.mean(axis=0) - mean
    whole = float(np.vdot(values, values)) - n * n_test * mean**2
    in_rep, in_img = n_test * float(by_rep @ by_rep), n * float(by_img @ by_img)
    freedom = np.array([n - 1, n_test - 1, (n - 1) * (n_test - 1)])
    squares = np.array([in_rep, in_img, max(0.0, whole - in_rep - in_img)]) / freedom
    return of_squares(mean, squares, n, n_test)


def of_squares(mean: float, squares: npt.NDArray[np.float64], n: int, n_test: int) -> Crossed:
    """:func:`crossed` from the mean and from MS_rep, MS_img and MS_int [3], all that it takes from a matrix."""
    freedom = np.array([n - 1, n_test - 1, (n - 1) * (n_test - 1)])
    rep, img, inter = squares.tolist()
    parts = squares / (n * n_test)
    if img > inter:
        variance = float(parts[0] + parts[1] - parts[2])
        df = variance**2 / float((parts**2 / freedom).sum())
    else:
        variance, df = float(parts[0]), float(n - 1)
    return Crossed(
        100 * mean,
        100 * variance**0.5,
        df,
        n,
        n_test,
        100 * max(0.0, (rep - inter) / n_test) ** 0.5,
        100 * max(0.0, (img - inter) / n) ** 0.5,
        100 * inter**0.5,
    )


def against_full(correct: Correct, full: Correct) -> Against:
    """Compare a set with one ``full``, paired by repetition and by test image.

    V is never below max(δ, 1/T)/T, and has n − 1 degrees of freedom there. A set that gets a share δ of the images
    wrong for good has differences with the variance δ (1 − δ) between images, whatever the T images at hand show; and
    the mean is no surer than one image more or less. Without this floor few images on which both never differ would
    prove anything: a set that loses 0.5 points so differs on none of 50 images with a chance of .78, on none of 300
    with one of .22.

    Args:
        correct: Of the set's students.
        full: Of full's students, equal n and T.

    Raises:
        ValueError: If either is no correctness, they differ in shape, or n or T is below 2.
    """
    ours, theirs = _checked(correct), _checked(full)
    if ours.shape != theirs.shape:
        raise ValueError(f"correctness of shapes {ours.shape} and {theirs.shape} cannot be paired")
    margin = min(MARGIN, ERROR_SHARE * 100 * (1 - float(theirs.mean())))
    found = crossed(ours - theirs)
    least = 100 * (max(margin / 100, 1 / found.n_test) / found.n_test) ** 0.5
    if found.se < least:
        found = replace(found, se=least, df=float(found.n - 1))
    return within(found, margin)


def within(found: Crossed, margin: float) -> Against:
    """Test that a difference is above −``margin`` [points]."""
    low = found.difference - float(stdtrit(found.df, LEVEL)) * found.se
    if found.se > 0:
        p = float(stdtr(found.df, -(found.difference + margin) / found.se))
    else:
        p = float(found.difference <= -margin)
    return Against(found, margin, low, p)


def non_inferior(claims: Sequence[Mapping[str, Against]]) -> list[NonInferior]:
    """Judge all claims of a page together.

    A set is lossless if it is above −δ against *each* ``full`` (so the larger p of them counts, unadjusted), Holm over
    the claims of the page is below 0.05, and there are six repetitions.

    Args:
        claims: For each claim, name of each ``full`` → the set beside it; at least one.
    """
    hardest = [max((one.p, name) for name, one in found.items())[1] for found in claims]
    adjusted = holm([found[name].p for found, name in zip(claims, hardest, strict=True)]).tolist()
    verdicts = []
    for found, name, p in zip(claims, hardest, adjusted, strict=True):
        enough = all(one.crossed.n >= smallest_n(1) for one in found.values())
        power = prod(one.power(_ALPHA / len(claims)) for one in found.values()) if enough else 0.0
        verdicts.append(NonInferior("lossless" if enough and p < _ALPHA else "not shown", p, name, power))
    return verdicts


def _checked(correct: Correct) -> npt.NDArray[np.float64]:
    matrix = np.asarray(correct, dtype=np.float64)
    if matrix.ndim != 2 or min(matrix.shape) < 2:
        raise ValueError(
            f"correctness has shape {matrix.shape}, expected [repetitions, test images], two or more of each"
        )
    if not ((matrix >= 0) & (matrix <= 1)).all():
        raise ValueError("correctness must lie in [0, 1]")
    return matrix
