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
from collections.abc import Iterator, Mapping
from pathlib import Path

if __name__ == "__main__":  # the folder of the script would hide the standard library's module of its name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from tabulate import tabulate
from tqdm import tqdm

from benchmarks.kit.scenario import ERROR, UNUSUAL, Floats, Goal, Line, Noise, Rng, Run, Scenario, normal
from ddbench.results.stats.claims import all_above, outcomes, some_below
from ddbench.results.stats.contrasts import Contrasts, paired_contrasts, reference_contrasts
from ddbench.results.stats.crossings import crossing_interval, crossings
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

CHUNK = 500
T = 10_000
"""Images of FashionMNIST's test set."""
DRAWS = 30
"""Of ``random``."""

MISSES, FALSE, UNBOLD = "interval misses the truth", "false better or worse", "bold loses an equal row"
EQUIVALENT, LOSSLESS = "false equivalent", "false lossless"
FALSE_HOLDS, FALSE_REFUTED, SEES_HOLDS = "false holds", "false refuted", "power: holds"
SEES, SEES_EQUIVALENT, SEES_LOSSLESS = "power: better or worse", "power: equivalent", "power: lossless"
ORDER = (
    MISSES, FALSE, UNBOLD, EQUIVALENT, LOSSLESS, FALSE_HOLDS, FALSE_REFUTED,
    SEES, SEES_EQUIVALENT, SEES_LOSSLESS, SEES_HOLDS,
)  # fmt: skip


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
    return sorted(lines, key=lambda line: (ORDER.index(line.what), line.goal is None))


def scenarios() -> Iterator[Scenario]:
    """What is simulated."""
    yield from intervals()
    yield from references()
    yield from families()
    yield from equivalences()
    yield from losslessness()
    yield from claims()
    yield from crossing_points()


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


def claims() -> Iterator[Scenario]:
    """Files of claims, each with two contrasts."""

    def run(means: Floats, n: int, noise: Noise = normal) -> Run:
        """``means`` [m, k] in standard deviations of the difference of two rows."""

        def judge(rng: Rng, size: int) -> Mapping[str, npt.NDArray[np.generic]]:
            shape = (size, *means.shape, n)
            found = paired_contrasts(means[..., None] + (noise(rng, shape) - noise(rng, shape)) / np.sqrt(2))
            holds, refuted = outcomes(all_above(found), some_below(found))
            wrong = (means <= 0).any(axis=-1)
            return {
                FALSE_HOLDS: holds[:, wrong].any(axis=-1),
                FALSE_REFUTED: refuted[:, (means >= 0).all(axis=-1)].any(axis=-1),
                SEES_HOLDS: holds[:, ~wrong].mean(axis=-1) if (~wrong).any() else np.zeros(size),
            }

        return judge

    one, none = np.array([[0.0, 9.0]]), np.zeros((1, 2))
    for m in (1, 5, 10):
        n = smallest_n(m)
        yield Scenario(
            f"{m} claims of which one of two contrasts is 0, n = {n}", run(np.repeat(one, m, axis=0), n),
            {FALSE_HOLDS: ERROR},
        )  # fmt: skip
        yield Scenario(
            f"{m} claims of which both contrasts are 0, n = {n}", run(np.repeat(none, m, axis=0), n),
            {FALSE_HOLDS: ERROR, FALSE_REFUTED: ERROR},
        )  # fmt: skip
    for name, noise in UNUSUAL.items():
        truth = f"5 claims of which one of two contrasts is 0, n = {smallest_n(5)}, {name}"
        shown = {FALSE_HOLDS: None, FALSE_REFUTED: None}
        yield Scenario(truth, run(np.repeat(one, 5, axis=0), smallest_n(5), noise), shown)
    for n in (smallest_n(5), 12, 20):
        yield Scenario(f"5 claims, all contrasts 1 sd, n = {n}", run(np.ones((5, 2)), n), {SEES_HOLDS: None})


def crossing_points() -> Iterator[Scenario]:
    """Rows that random meets at 4.6 % of the training images: five budgets, half of each error common to all."""
    shares, truth = [1.0, 2.0, 4.0, 6.0, 20.0], np.array([3.0, 1.5, 0.5, -1.0, -3.0])
    at = float(crossings(shares, truth))

    def run(n: int, draws: int, steep: float) -> Run:
        def scores(errors: Floats) -> list[dict[int, float]]:
            return [dict(enumerate(budget)) for budget in errors.T.tolist()]

        def one(rng: Rng) -> bool:
            random, own = ((normal(rng, (r, 1)) + normal(rng, (r, len(shares)))) / np.sqrt(2) for r in (draws, n))
            ours = steep * truth + 0.3 * random[:n] + np.sqrt(1 - 0.3**2) * own
            low, high = crossing_interval(shares, list(zip(scores(ours), scores(random), strict=True)))
            return not low <= at <= high

        return lambda rng, size: {MISSES: np.array([one(rng) for _ in range(size)])}

    for n, draws, goal in ((3, DRAWS, None), (6, DRAWS, ERROR), (12, DRAWS, ERROR), (6, 6, None), (12, 12, None)):
        yield Scenario(f"crossing, n = {n} and {draws}", run(n, draws, 1.0), {MISSES: goal}, part=0.1)
    yield Scenario(f"crossing, n = 6 and {DRAWS}, a third as steep", run(6, DRAWS, 1 / 3), {MISSES: None}, part=0.1)


if __name__ == "__main__":
    sys.exit(main())
