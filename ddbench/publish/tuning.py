"""The tuning ledger as Markdown, and the preset entries that come out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import Registries, active
from ddbench.core.records import Record
from ddbench.core.roles import RANDOM
from ddbench.core.specs import Budget
from ddbench.plan.rows import shown
from ddbench.plan.tuning import REPETITIONS, Tuning, load
from ddbench.publish.text.grid import markdown_grid
from ddbench.publish.views.columns import WORD
from ddbench.publish.views.inside_methods import quantities, told
from ddbench.results.tables.figures import NONE
from ddbench.results.tries import best_of
from ddbench.results.tuning import Ledger, Trial, edges, ledger_of

PAGE = """\
# What was tried: {name}

Made by `ddbench tune {where}`; what the numbers mean and which rules hold: docs/explanation/tuning.md.

<!-- ddbench:tuning records={records} file={file} -->
<!-- ddbench:end -->
"""

SURE = 1 - 1e-9
"""A share from which something happens always, but for the rounding of sums."""


def new_page(tuning: Tuning, file: str, records: str) -> str:
    """A page for a ledger that is not rendered yet.

    Args:
        tuning: The file.
        file: Its path as the page names it.
        records: Path of the records as the page names it.
    """
    return PAGE.format(name=Path(file).stem, where=tuning.where, records=records, file=file)


def tuning_block(file: Path, records: Iterable[Record]) -> str:
    """The ledger of a tuning file from committed records, as it stands between markers.

    Raises:
        UsageError: If a file is missing or wrong, or holds what is no part of this ledger.
    """
    if not file.is_file():
        raise UsageError(f"tuning file {file}: there is none")
    registries = active()
    return ledger_text(load(str(file), registries), records, registries)


def ledger_text(tuning: Tuning, records: Iterable[Record], registries: Registries) -> str:
    """The ledger of a tuning file from the records of its run, as Markdown."""
    return markdown(ledger_of(tuning, records, registries), registries)


def markdown(ledger: Ledger, registries: Registries) -> str:
    """The ledger: what was tried, what choosing is worth, which grids to extend.

    Args:
        ledger: The ledger.
        registries: Loaded plugins.
    """
    blocks = [_caption(ledger), *(["<br>\n".join(ledger.outdated)] if ledger.outdated else [])]
    if ledger.missing:
        first = ", ".join(f"{t.method} at {t.budget.label}: {_name(t)}" for t in ledger.missing[:5])
        more = f" and {len(ledger.missing) - 5} more" if len(ledger.missing) > 5 else ""
        blocks.append(
            f"**Incomplete**: {len(ledger.missing)} of {len(ledger.trials)} configurations have not all their results "
            f"({first}{more}). Nothing is to be chosen from it yet."
        )
    for budget in ledger.tuning.budgets:
        blocks += [f"### {budget.label}", _grid(_tried(ledger, budget))]
        blocks += _inside(ledger, budget)
    blocks += ["### What all configurations of a method share", "\n".join(_bases(ledger))]
    blocks += ["### Best of k", _best_caption(ledger), _grid(_curves(ledger))]
    blocks += ["### At equal cost", _equal_caption(ledger)]
    blocks += [_grid(_equal(ledger, budget)) for budget in ledger.tuning.budgets]
    blocks += ["### Choices at the edge of their grids", "\n".join(_edges(ledger, registries))]
    return "\n\n".join(blocks) + "\n"


def _seconds(ledger: Ledger) -> str:
    """What its seconds are called: ``CPU s``."""
    return f"{WORD[ledger.timer]} s"


def _grid(rows: Iterable[list[str]]) -> str:
    return "\n".join(markdown_grid(list(rows)))


def _caption(ledger: Ledger) -> str:
    tuning, facts = ledger.tuning, ledger.facts
    first, second = (_minus(r) for r in REPETITIONS)
    space, seed = tuning.suite.preprocess[0], tuning.suite.master_seed
    what = [
        facts.get("data") or tuning.suite.datasets[0].name, ledger.arch, ledger.protocol or tuning.own.protocol,
        f"profile {tuning.suite.profile}", *([] if space == "meanstd" else [space]),
        *([] if not seed else [f"master seed {seed}"]),
    ]  # fmt: skip
    where = f"{facts['n']:,} training images" if facts else "training images"
    return (
        f"{' · '.join(part for part in what if part)}. Accuracy [%] on {where} that this view leaves out, of one "
        f"student each in repetitions {first} and {second}, which are never reported; no test image was opened. "
        f"{tuning.count} configurations of every method at every budget, **the best** in bold (`{RANDOM}` has nothing "
        "to tune: it has its one; a preset that there was before is measured beside them, and not chosen). The best of "
        "several is chosen by these numbers, so they flatter it. lr: the "
        f"student's, chosen on val by repetition {first}. Seconds are {_seconds(ledger)} of both repetitions. Shared "
        "inputs (experts, features): each is divided among the configurations of its method at that budget that read "
        "it, so that a method's rows add up to what tuning it took; a preset before shows all that it reads."
    )


def _minus(r: int) -> str:
    return f"−{-r}" if r < 0 else str(r)


def _name(trial: Trial) -> str:
    return "its one configuration" if trial.configuration is None else trial.configuration.name


def _tried(ledger: Ledger, budget: Budget) -> Iterator[list[str]]:
    yield [
        "method", "configuration", *(f"r {_minus(r)}" for r in REPETITIONS), "mean", "lr", "condense", "shared inputs",
        "students", _seconds(ledger),
    ]  # fmt: skip
    for method in (RANDOM, *ledger.tuning.methods):
        best = ledger.best(method, budget) if method != RANDOM else None
        for trial in ledger.of(method, budget):
            name = "" if trial.configuration is None else _name(trial)
            if not trial.scores and not trial.problems:
                yield [method, name, *[NONE] * len(REPETITIONS), "not run", *[NONE] * 5]
                continue
            scores = [_percent(trial.scores.get(r)) for r in REPETITIONS]
            mean = _percent(trial.score) if not trial.problems else "; ".join(dict.fromkeys(trial.problems))
            if trial is best:
                name, mean = f"**{name}**", f"**{mean}**"
            seconds = [trial.condense_s, trial.artifact_s, trial.evaluate_s, trial.seconds]
            yield [
                method, name, *scores, mean, NONE if trial.lr is None else f"{trial.lr:g}",
                *(f"{value:.0f}" for value in seconds),
            ]  # fmt: skip


def _inside(ledger: Ledger, budget: Budget) -> list[str]:
    """What the methods say about their runs: a table, and what its columns are; nothing where none says anything."""
    said = [trial for trial in ledger.trials if trial.budget == budget and trial.details]
    shown = quantities([trial.details for trial in said])
    rows = [["method", "configuration", *(each.header for each in shown)]]
    rows += [[trial.method, _name(trial), *(told(each, trial.details) for each in shown)] for trial in said]
    notes = [f"{each.header}: {each.meaning}" for each in shown if each.meaning]
    caption = "What the methods say about these runs, means over the repetitions:"
    return [caption, _grid(rows), *(["<br>\n".join(notes)] if notes else [])] if said else []


def _bases(ledger: Ledger) -> Iterator[str]:
    """What lies below the configurations, methods and budgets with equal bases in one line."""
    found: dict[str, dict[str, list[str]]] = {}
    for method in ledger.tuning.methods:
        for budget in ledger.tuning.budgets:
            base = next(map(_base, ledger.tried(method, budget)), "")
            found.setdefault(base, {}).setdefault(method, []).append(budget.label)
    for base, methods in found.items():
        places: dict[str, list[str]] = {}
        for method, labels in methods.items():
            places.setdefault(", ".join(labels), []).append(method)
        where = "; ".join(f"{', '.join(names)} at {labels}" for labels, names in places.items())
        yield f"- {where}: {base or 'the defaults'}"
    for trial in ledger.trials:
        if trial.configuration is not None and trial.before:
            yield f"- preset before, {trial.method} at {trial.budget.label}: {shown(trial.configuration.given)}"


def _base(trial: Trial) -> str:
    assert trial.configuration is not None
    one = trial.configuration
    return shown({name: value for name, value in one.given.items() if name not in one.own})


def _scores(trials: Sequence[Trial]) -> list[float | None]:
    return [trial.score for trial in trials]


def _best_caption(ledger: Ledger) -> str:
    return (
        "The expected best of k configurations that are drawn at random from those tried, on the same images: what "
        "tuning with fewer tries would have been worth. A share in brackets: how often any of the k has a result, "
        "where some failed. all: the mean over budgets."
    )


def _curves(ledger: Ledger) -> Iterator[list[str]]:
    ks = range(1, ledger.tuning.count + 1)
    yield ["method", "budget", *(f"k = {k}" for k in ks)]
    for method in (RANDOM, *ledger.tuning.methods):
        curves = []
        for budget in ledger.tuning.budgets:
            trials = [trial for trial in ledger.tried(method, budget) if trial.is_finished]
            curves.append([best_of(_scores(trials), min(k, len(trials))) if trials else (None, 0.0) for k in ks])
            yield [method, budget.label, *(_worth(value) for value in curves[-1])]
        if len(curves) > 1:
            yield [method, "all", *(_worth(_mean(values)) for values in zip(*curves, strict=True))]


def _mean(values: Sequence[tuple[float | None, float]]) -> tuple[float | None, float]:
    known = [value for value, _ in values if value is not None]
    return fmean(known) if len(known) == len(values) else None, min(share for _, share in values)


def _equal_caption(ledger: Ledger) -> str:
    return (
        f"Each column gives all methods as many {_seconds(ledger)} as one of them took for all its configurations and "
        "what they read. A method's configurations are drawn in a random order and tried one after the other. The "
        "first that needs a shared input pays for all of it, of both repetitions, and later ones read it for nothing; "
        "what other methods or budgets read changes no price. The first that does not fit into what is left ends it. "
        "Shown: the expected best of those that were tried, over all orders, **the highest** of those that always have "
        "a result in bold. A share in brackets: how often any of them has a result; –: never."
    )


def _equal(ledger: Ledger, budget: Budget) -> Iterator[list[str]]:
    """What methods are worth at a budget when all get as many seconds as one of them took."""
    limits = ledger.limits(budget)
    yield [budget.label, *(f"{seconds:.0f} ({name})" for name, seconds in limits)]
    found = {
        method: [ledger.at_equal_cost(method, budget, seconds) for _, seconds in limits]
        for method in ledger.tuning.methods
    }
    columns = zip(*found.values(), strict=True)
    highest = [
        max((best for best, share in column if best is not None and share > SURE), default=None) for column in columns
    ]
    for method, row in found.items():
        texts = [
            f"**{_worth((best, share))}**" if share > SURE and best == most else _worth((best, share))
            for (best, share), most in zip(row, highest, strict=True)
        ]
        yield [method, *texts]
    yield [RANDOM, *([_percent(ledger.random(budget).score)] * len(limits))]


def _edges(ledger: Ledger, registries: Registries) -> Iterator[str]:
    found = edges(ledger, registries)
    if not found:
        yield "None: every value that was chosen lies between others that were tried."
        return
    yield "A choice at the edge of a grid extends the grid for all: each method gets one configuration more."
    yield ""
    for edge in found:
        add = f"add {edge.add:g}" if edge.add is not None else "the parameter allows no other"
        yield (
            f"- {edge.method} at {edge.budget.label}: {edge.parameter} {edge.value:g} is the {edge.end} that was "
            f"tried: {add}"
        )


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _worth(value: tuple[float | None, float]) -> str:
    best, share = value
    if best is None:
        return NONE
    return f"{best:.1f}" if share > SURE else f"{best:.1f} ({100 * share:.0f} %)"


def preset_entries(ledger: Ledger, method: str, source: str, size: int | None = None) -> str:
    """The entries of ``presets.yaml`` for the chosen configurations of a method, as YAML text.

    Args:
        ledger: The ledger.
        method: Name of the method.
        source: The page or the file that shows the ledger.
        size: Side of the images [pixels], if it is not the data set's own.

    Raises:
        UsageError: If the method was not tuned, or not all of it has run.
    """
    tuning = ledger.tuning
    if method not in tuning.methods:
        raise UsageError(f"{tuning.where} does not tune {method!r}: it tunes {', '.join(tuning.methods)}")
    if unfinished := [trial.budget.label for trial in ledger.missing if trial.method in (method, RANDOM)]:
        raise UsageError(
            f"{method}: not all configurations have run at {', '.join(dict.fromkeys(unfinished))}; "
            f"`ddbench tune {tuning.where}` runs them"
        )
    lines, space = [], tuning.suite.preprocess[0]
    for budget in tuning.budgets:
        best = ledger.best(method, budget)
        if best is None or best.configuration is None:
            raise UsageError(f"{method} at {budget.label}: all configurations failed, so there is nothing to choose")
        where: dict[str, Any] = {"dataset": tuning.suite.datasets[0].name.partition("=")[0]}
        where |= ({} if size is None else {"size": size}) | budget.key() | {"profile": tuning.suite.profile}
        scores = ", ".join(f"{best.scores[r]:.1f}" for r in REPETITIONS)
        random = _percent(ledger.random(budget).score)
        said = (
            f"{source}: repetitions {' and '.join(map(_minus, REPETITIONS))} had {scores} on training images that the "
            f"view leaves out, the best of {tuning.count} configurations (random {random})"
        )
        lines += [
            f"- for: {_flow(where)}",
            f"  params: {_flow(best.configuration.given)}",
            f"  source: {_quoted(said)}",
            *([] if space == "meanstd" else [f"  preprocess: {space}"]),
        ]
    return "\n".join(lines) + "\n"


def _flow(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(value), default_flow_style=True, sort_keys=False, width=10**6).strip()


def _quoted(text: str) -> str:
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10**6).strip()
