"""Whether the statistics keep their promises: `python benchmarks/statistics.py [--runs 20000] [--seed 0] [--quick]`.

Draws tables whose truth is known, judges them with the product's own functions, and prints how often these are wrong
and how often they see what is there, each with its 99 % Monte Carlo interval. An error passes when that interval
reaches its goal or below, a power when it reaches its goal or above; the exit code is 1 if one of them does not. Lines
without a goal show what happens where the assumptions behind a test do not hold, and what power to expect. The full run
takes two CPU minutes.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # the folder of the script would hide the standard library's module of its name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from tabulate import tabulate
from tqdm import tqdm

from ddbench.results.stats.contrasts import Contrasts, paired_contrasts, reference_contrasts
from ddbench.results.stats.families import bold_rows, worse_than
from ddbench.results.stats.intervals import MARGIN
from ddbench.results.stats.noninferior import (
    ERROR_SHARE,
    Against,
    against_full,
    crossed,
    non_inferior,
    of_squares,
    within,
)
from ddbench.results.stats.verdicts import decide, equivalence_power, smallest_n

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
Noise = Callable[[Rng, tuple[int, ...]], Floats]
"""Errors of a shape, with mean 0."""
Run = Callable[[Rng, int], Mapping[str, npt.NDArray[np.generic]]]
"""Draws and judges so many tables; what is counted → whether it happened, for each (or in which share of its pairs)."""

CHUNK = 500
T = 10_000
"""Images of FashionMNIST's test set."""
DRAWS = 30
"""Of ``random``."""

MISSES, FALSE, UNBOLD = "interval misses the truth", "false better or worse", "bold loses an equal row"
EQUIVALENT, LOSSLESS = "false equivalent", "false lossless"
SEES, SEES_EQUIVALENT, SEES_LOSSLESS = "power: better or worse", "power: equivalent", "power: lossless"


@dataclass(frozen=True)
class Goal:
    """An error's highest share, or a power's lowest."""

    share: float
    power: bool = False

    def met(self, low: float, high: float) -> bool:
        """Whether an interval reaches it."""
        return high >= self.share if self.power else low <= self.share


ERROR = Goal(0.05)


@dataclass(frozen=True)
class Scenario:
    """Tables of one truth.

    Attributes:
        truth: In words.
        run: How they are drawn and judged.
        goals: What is shown of it, with its goal.
        part: Share of the runs, below 1 where whole matrices are drawn.
    """

    truth: str
    run: Run
    goals: Mapping[str, Goal | None]
    part: float = 1.0


@dataclass(frozen=True)
class Line:
    """One line of the table: how often something happened."""

    what: str
    truth: str
    hits: float
    runs: int
    goal: Goal | None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 99 %; too wide for shares of the pairs of a table, which vary less than yes and no."""
        z, share = float(ndtri(0.995)), self.hits / self.runs
        middle, scale = self.hits + z**2 / 2, self.runs + z**2
        half = z * float(np.sqrt(self.hits * (1 - share) + z**2 / 4))
        return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)

    @property
    def fails(self) -> bool:
        """Whether it has a goal that its interval does not reach."""
        return self.goal is not None and not self.goal.met(*self.interval)

    def cells(self) -> list[str]:
        """As text."""
        goal = "" if self.goal is None else f"{'≥' if self.goal.power else '≤'} {self.goal.share:.2f}"
        verdict = "FAILS" if self.fails else "passes" if goal else ""
        low, high = self.interval
        share = f"{self.hits / self.runs:.4f}"
        return [self.what, self.truth, share, f"{low:.4f}–{high:.4f}", f"{self.runs}", goal, verdict]


def main() -> int:
    """Simulate everything and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20_000, help="tables per line; fewer where matrices are drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="1000 tables per line")
    given = parser.parse_args()
    lines = simulate(1000 if given.quick else given.runs, given.seed)
    headers = ["what", "truth", "share", "99 % interval", "runs", "goal", ""]
    print(tabulate([line.cells() for line in lines], headers=headers, tablefmt="github", disable_numparse=True))
    failed = sum(line.fails for line in lines)
    print(f"\n{sum(line.goal is not None for line in lines)} goals, {failed} not met (seed {given.seed})")
    return 1 if failed else 0


def simulate(runs: int, seed: int) -> list[Line]:
    """All lines in the order of what they count, each scenario with draws of its own."""
    lines: list[Line] = []
    for scenario in tqdm(list(scenarios()), desc="scenarios", file=sys.stderr):
        total = max(1, round(runs * scenario.part))
        rng = np.random.default_rng([seed, zlib.crc32(scenario.truth.encode())])
        hits = dict.fromkeys(scenario.goals, 0.0)
        for start in range(0, total, CHUNK):
            found = scenario.run(rng, min(CHUNK, total - start))
            hits = {what: hits[what] + float(found[what].sum()) for what in hits}
        lines += [Line(what, scenario.truth, hits[what], total, goal) for what, goal in scenario.goals.items()]
    order = [MISSES, FALSE, UNBOLD, EQUIVALENT, LOSSLESS, SEES, SEES_EQUIVALENT, SEES_LOSSLESS]
    return sorted(lines, key=lambda line: (order.index(line.what), line.goal is None))


def scenarios() -> Iterator[Scenario]:
    """What is simulated."""
    yield from intervals()
    yield from references()
    yield from families()
    yield from equivalences()
    yield from losslessness()


def normal(rng: Rng, shape: tuple[int, ...]) -> Floats:
    return rng.standard_normal(shape)


def skewed(rng: Rng, shape: tuple[int, ...]) -> Floats:
    """Exponential, with the tail below."""
    return 1 - rng.standard_exponential(shape)


def bad_runs(rng: Rng, shape: tuple[int, ...]) -> Floats:
    """One in ten is five standard deviations lower."""
    return rng.standard_normal(shape) + 0.5 - 5.0 * (rng.random(shape) < 0.1)


def steps(rng: Rng, shape: tuple[int, ...]) -> Floats:
    """Accuracies on 300 images, which lie a third of a point apart, with a standard deviation of half a point."""
    return np.round(3 * 0.5 * rng.standard_normal(shape)) / 3


UNUSUAL: Mapping[str, Noise] = {"skewed": skewed, "one bad run in ten": bad_runs, "steps of one test image": steps}


def intervals() -> Iterator[Scenario]:
    """The t-interval of a mean or a paired difference."""

    def run(noise: Noise, n: int) -> Run:
        return lambda rng, size: {MISSES: missed(paired_contrasts(noise(rng, (size, n))))}

    for n in (3, 5, 10, 20):
        yield Scenario(f"mean of n = {n}, normal", run(normal, n), {MISSES: ERROR})
    for name, noise in UNUSUAL.items():
        for n in (3, 10):
            yield Scenario(f"mean of n = {n}, {name}", run(noise, n), {MISSES: None})


def missed(found: Contrasts) -> npt.NDArray[np.bool_]:
    """Whether an interval leaves out a true difference of 0."""
    return np.abs(found.difference) > found.half_width()


def references() -> Iterator[Scenario]:
    """Minus random: rows of n repetitions against the same 30 draws."""

    def run(rows: int, n: int, correlation: float, sd: float) -> Run:
        def judge(rng: Rng, size: int) -> Mapping[str, npt.NDArray[np.generic]]:
            random = normal(rng, (size, 1, DRAWS))
            own = np.sqrt(1 - correlation**2) * normal(rng, (size, rows, n))
            found = reference_contrasts(sd * (correlation * random[..., :n] + own), random)
            return {MISSES: missed(found).mean(axis=-1), FALSE: decide(found).separated.any(axis=-1)}

        return judge

    for n, correlation, sd in (
        (3, 0.3, 1),
        (4, 0.3, 1),
        (5, 0.3, 1),
        (6, 0, 1),
        (6, 0.3, 1),
        (6, 0.3, 0.3),
        (6, 0.3, 3),
        (12, 0.3, 1),
        (12, 0.9, 1),
    ):
        yield Scenario(
            f"minus random, n = {n} and {DRAWS}, correlation {correlation}, sd {sd} of random's",
            run(1, n, correlation, sd), {MISSES: ERROR},
        )  # fmt: skip
    for rows in (1, 4, 11):
        n = smallest_n(rows)
        yield Scenario(f"minus random, {rows} rows, n = {n} and {DRAWS}", run(rows, n, 0.3, 1), {FALSE: ERROR})


def families() -> Iterator[Scenario]:
    """All pairs of a column."""

    def run(means: Floats, sds: Floats, n: int, noise: Noise = normal) -> Run:
        rows, best = len(means), means == means.max()
        first, second = np.triu_indices(rows, 1)
        equal = means[first] == means[second]

        def judge(rng: Rng, size: int) -> Mapping[str, npt.NDArray[np.generic]]:
            scores = means[:, None] + sds[:, None] * noise(rng, (size, rows, n))
            found = paired_contrasts(scores[:, first] - scores[:, second])
            separated = decide(found).separated
            decided = np.where(separated, np.sign(found.difference), 0).astype(np.int64)
            bold = bold_rows(scores.mean(axis=-1), worse_than(decided, rows))
            return {
                FALSE: separated[:, equal].any(axis=-1),
                UNBOLD: ~bold[:, best].all(axis=-1),
                SEES: separated[:, first == 0].mean(axis=-1),
            }

        return judge

    for rows in (4, 8, 12):
        for n in (smallest_n(rows * (rows - 1) // 2), 20):
            yield Scenario(
                f"{rows} equal rows, n = {n}", run(np.zeros(rows), np.ones(rows), n), {FALSE: ERROR, UNBOLD: ERROR}
            )
    for below in (0.5, 1.0):
        means = np.array([0.0] * 4 + [-below] * 8)
        yield Scenario(
            f"4 best of 12 rows, the others {below} sd below, n = 12", run(means, np.ones(12), 12), {UNBOLD: ERROR}
        )
    n, shown = smallest_n(28), {FALSE: None, UNBOLD: None}
    for name, noise in UNUSUAL.items():
        yield Scenario(f"8 equal rows, n = {n}, {name}", run(np.zeros(8), np.ones(8), n, noise), shown)
    unequal = run(np.zeros(8), np.geomspace(1, 4, 8), n)
    yield Scenario(f"8 equal rows, n = {n}, sd from 1 to 4", unequal, shown)
    for n, step in ((12, 0.5), (12, 1.0), (20, 0.5)):
        ladder = run(np.linspace(0, -11 * step, 12), np.ones(12), n)
        yield Scenario(f"best of 12 rows {step} sd apart against each other one, n = {n}", ladder, {SEES: None})


def equivalences() -> Iterator[Scenario]:
    """Rows that differ by the margin, and rows that do not differ."""

    def run(means: Floats, sd: float, n: int) -> Run:
        """``sd`` of the difference of two rows."""
        first, second = np.triu_indices(len(means), 1)
        apart = np.abs(means[first] - means[second]) >= MARGIN

        def judge(rng: Rng, size: int) -> Mapping[str, npt.NDArray[np.generic]]:
            scores = means[:, None] + sd / np.sqrt(2) * normal(rng, (size, len(means), n))
            found = decide(paired_contrasts(scores[:, first] - scores[:, second])).equivalent
            return {EQUIVALENT: found[:, apart].any(axis=-1), SEES_EQUIVALENT: found.mean(axis=-1)}

        return judge

    two = np.array([0.0, MARGIN])
    seven = np.resize(two, 7)  # four rows at 0 and three at the margin: 12 of 21 pairs lie at it
    for n, sd in ((6, 0.2), (6, 0.4), (20, 0.4), (20, 0.8)):
        yield Scenario(f"2 rows {MARGIN} points apart, sd {sd}, n = {n}", run(two, sd, n), {EQUIVALENT: ERROR})
    for n, sd in ((smallest_n(21), 0.15), (smallest_n(21), 0.3), (20, 0.3), (20, 0.5)):
        truth = f"7 rows, 12 pairs {MARGIN} points apart, sd {sd}, n = {n}"
        yield Scenario(truth, run(seven, sd, n), {EQUIVALENT: ERROR})
    for rows, n, sd in ((2, 6, 0.3), (2, 10, 0.5), (7, 10, 0.3), (7, 20, 0.5)):
        comparisons = rows * (rows - 1) // 2
        promised = float(equivalence_power(sd / np.sqrt(n), n - 1, 0.05 / comparisons))
        yield Scenario(
            f"{rows} equal rows, sd {sd}, n = {n} (computed: {promised:.3f})",
            run(np.zeros(rows), sd, n), {SEES_EQUIVALENT: None},
        )  # fmt: skip


SD_REP, SD_IMG, SD_INT = 0.2, 15.0, 25.0
"""Between repetitions [points], between images and of their interaction [points per image]."""


def losslessness() -> Iterator[Scenario]:
    """A set against full over repetitions, images and their interaction, and by right and wrong answers."""

    def lossless(*fulls: Against) -> bool:
        return non_inferior([{str(i): found for i, found in enumerate(fulls)}])[0].verdict == "lossless"

    def one_full(n: int) -> Run:
        """By the exact distribution of mean and mean squares: a set worse by the margin, and one as good."""
        rep, img, inter = (sd**2 / 1e4 for sd in (SD_REP, SD_IMG, SD_INT))
        freedom = np.array([n - 1, T - 1, (n - 1) * (T - 1)])
        expected = np.array([inter + T * rep, inter + n * img, inter])
        se = np.sqrt((expected[0] + expected[1] - inter) / (n * T))

        def judge(rng: Rng, size: int) -> Mapping[str, npt.NDArray[np.generic]]:
            means = se * normal(rng, (size,))
            squares = expected * rng.chisquare(freedom, (size, 3)) / freedom
            worse, equal = (
                np.array([
                    lossless(within(of_squares(mean - by, of_run, n, T), MARGIN))
                    for mean, of_run in zip(means.tolist(), squares, strict=True)
                ])
                for by in (MARGIN / 100, 0.0)
            )  # fmt: skip
            return {LOSSLESS: worse, SEES_LOSSLESS: equal}

        return judge

    def two_fulls(n: int) -> Run:
        """Whole matrices: each difference has the components of above, half of each variance the set's own."""

        def components(rng: Rng) -> Floats:
            parts = zip((SD_REP, SD_IMG, SD_INT), ((n, 1), (1, T), (n, T)), strict=True)
            return sum((sd / 100 * normal(rng, shape) for sd, shape in parts), np.zeros((n, T))) / np.sqrt(2)

        def one(rng: Rng) -> bool:
            ours, *fulls = (components(rng) for _ in range(3))
            return lossless(*(within(crossed(ours - full), MARGIN) for full in fulls))

        return lambda rng, size: {SEES_LOSSLESS: np.array([one(rng) for _ in range(size)])}

    def students(n: int, n_test: int, accuracy: float, better: float) -> Run:
        """Right and wrong answers: an image's difficulty, what a method makes of it, and luck."""
        inner = np.sqrt(1 + 0.3**2 + 0.4**2 + 0.01**2)

        def answers(rng: Rng, difficulty: npt.NDArray[np.float32], share: float) -> npt.NDArray[np.bool_]:
            shift = 0.01 * normal(rng, (n, 1)).astype(np.float32)
            own = difficulty + np.float32(0.3) * rng.standard_normal((1, n_test), np.float32)
            luck = np.float32(0.4) * rng.standard_normal((n, n_test), np.float32)
            return np.asarray(luck < np.float32(inner * ndtri(share)) - shift - own)

        def one(rng: Rng) -> bool:
            difficulty = rng.standard_normal((1, n_test), np.float32)
            ours, full = (answers(rng, difficulty, share) for share in (accuracy + better, accuracy))
            return lossless(against_full(ours, full))

        def judge(rng: Rng, size: int) -> Mapping[str, npt.NDArray[np.generic]]:
            found = np.array([one(rng) for _ in range(size)])
            return {LOSSLESS: found, SEES_LOSSLESS: found}

        return judge

    for n, power in ((6, 0.75), (10, 0.85)):
        goals = {LOSSLESS: ERROR, SEES_LOSSLESS: Goal(power, power=True)}
        yield Scenario(f"n = {n}, normal components", one_full(n), goals)
        yield Scenario(f"n = {n}, normal components, two fulls as good", two_fulls(n), {SEES_LOSSLESS: None}, part=0.1)
    for n_test, accuracy in ((T, 0.9), (300, 0.9), (300, 0.99)):
        margin = min(MARGIN / 100, ERROR_SHARE * (1 - accuracy))
        truth = f"n = 6, right and wrong answers on {n_test} images, {100 * accuracy:g} %"
        part = 0.25 if n_test == T else 1.0
        yield Scenario(truth, students(6, n_test, accuracy, -margin), {LOSSLESS: ERROR}, part=part)
        yield Scenario(truth, students(6, n_test, accuracy, 0.0), {SEES_LOSSLESS: None}, part=0.1)


if __name__ == "__main__":
    sys.exit(main())
