"""Fields of a record that a run fills in together, held against each other and against other lines of a file. No torch.

Each law follows from how :mod:`ddbench.work` makes records, whatever plugins took part: every honest record obeys it.
Files of records are held to these laws, once each field is possible by itself (:mod:`ddbench.core.trust`). Results
folders are not: a seal is enough for what was computed here. What a record does not say is passed.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ddbench.core.documents import EvaluationDocument
from ddbench.core.errors import shown_value
from ddbench.core.keys import canonical
from ddbench.core.records import Record, is_number
from ddbench.core.specs import Budget

CLOSE = 1e-6
"""Points [%] by which two ways to compute the same accuracy may differ."""
ROUNDING = 1e-3
"""Share by which a mean loss in float32 may differ from the exact one."""
LATE = datetime.timedelta(days=1)
"""By which the clock of another machine may be ahead, time zones included."""
_OF_DATA = ("n_train", "n_val", "image_bytes")


def is_whole(images: float, n: int) -> bool:
    """Whether so many of ``n`` images are a whole number, as far as :data:`CLOSE` percent tell."""
    return abs(images - round(images)) <= CLOSE * n / 100


def contradictions(record: Record) -> Iterator[str]:
    """Which fields of a record contradict each other, each in words: the field, its value, and what says otherwise.

    Args:
        record: Of which each field by itself is possible (finite numbers, accuracies in [0, 100], times).
    """
    ok = record.status == "ok"
    if ok and record.reason is not None:
        yield f"reason is {shown_value(record.reason)}, but its status is ok"
    if not ok and record.selection is not None:
        yield f"it is {record.status} and has a selection"
    if moment(record.finished) < moment(record.started):
        yield f"finished is {record.finished}, before it started ({record.started})"
    if not ok:
        return
    if record.kind == "condense":
        yield from _of_best_step(record)
        return
    yield from _of_loss(record.metrics)
    yield from _of_images(record)
    yield from _of_rate(record)
    yield from _of_val(record)
    if _is_sgd(record.evaluation):
        yield from _of_updates(record)


def contradicted(record: Record) -> str | None:
    """The first of :func:`contradictions`, a clock that is behind included; None: there is none."""
    return next(contradictions(record), None) or _from_the_future(record)


def _from_the_future(record: Record) -> str | None:
    """How a record is of a later time than it is here, in words; None: it is not."""
    now = datetime.datetime.now(datetime.UTC)
    if moment(record.finished) <= now + LATE:
        return None
    return f"finished is {record.finished}, but here it is {now.isoformat(timespec='seconds')}"


def outvoted(records: Mapping[int, Record]) -> dict[int, str]:
    """What evaluations say otherwise than most others that must say the same, by line; of equally many, all.

    Args:
        records: By line; other records than evaluations say nothing.
    """
    told: dict[tuple[str, str, str], dict[float, list[int]]] = {}
    for number, record in records.items():
        for name, others, which, value in _shared(record) if record.kind == "evaluation" else ():
            told.setdefault((name, others, which), {}).setdefault(value, []).append(number)
    odd: dict[int, str] = {}
    for (name, others, _), lines in told.items():
        for value, numbers in lines.items():
            rivals = ((len(rival), -rival[0], other) for other, rival in lines.items() if other != value)
            count, first, other = max(rivals, default=(0, 0, 0))
            if count >= len(numbers):
                odd |= dict.fromkeys(numbers, f"{name} is {value}, but {other} in line {-first}, {others}")
    return odd


def column_of(document: EvaluationDocument) -> Budget:
    """The budget that ``facts.n`` is of: the column's, where real images at other rows' bytes have another."""
    return document.cell.budget if document.facts.buys is None else document.facts.buys.budget


def moment(text: str) -> datetime.datetime:
    """A time of a record; without a zone it is UTC.

    Raises:
        ValueError: If it is none.
    """
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)


def _shared(record: Record) -> Iterator[tuple[str, str, str, float]]:
    """What must be the same in other records: name, which records these are, in words and as a key, and value."""
    document, chosen = record.evaluation, record.selection or {}
    data = canonical(document.cell.data.model_dump(mode="json", exclude={"preprocess", "origin"}))
    for facts in (document.facts, *(place.facts for place in document.also)):
        for name in _OF_DATA:
            if (value := getattr(facts, name)) is not None:
                yield f"facts.{name}", "of the same data", data, value
    if record.status != "ok":
        return
    if document.facts.n is not None and not document.whole:
        yield "facts.n", "of the same budget", canonical([data, column_of(document).key()]), document.facts.n
    made, grid = document.set if document.recipe is None else document.recipe, document.eval.protocol_params.get("lr")
    if chosen.get("lr") is not None and _follows(document):
        yield "selection.lr", "which follows the same recipe", canonical([made.key, grid]), chosen["lr"]
    if chosen.get("own_lr") is not None and document.recipe is None:
        yield "selection.own_lr", "of the same set", document.eval.set, chosen["own_lr"]


def _of_best_step(record: Record) -> Iterator[str]:
    """A set that was chosen on val among the snapshots of its run: the earliest of the best."""
    chosen = record.selection
    if chosen is None or "val_top1" not in chosen:
        return
    scores = _by_number(chosen["val_top1"])
    yield from _of_tried(chosen, scores)
    best = max((value for value in scores.values() if value is not None), default=None)
    first = min((step for step, value in scores.items() if value == best), default=math.nan)
    if chosen.get("step") != first:
        yield f"selection.step is {shown_value(chosen.get('step'))}, but the first of the best on val is {first:g}"
    if scores and max(scores) != record.cost.steps:
        yield f"cost.steps is {record.cost.steps}, but the last set that was tried is of step {max(scores):g}"


def _of_loss(metrics: Mapping[str, Any]) -> Iterator[str]:
    """A wrong image costs ln 2 at least: its class is no likelier than another; a right one ln K at most."""
    loss, wrong = metrics.get("loss"), 100 - metrics["top1"]
    classes = len(metrics.get("per_class") or ())
    if loss is None:
        return
    if loss < (least := wrong / 100 * math.log(2)) * (1 - ROUNDING):
        yield f"loss is {loss:g}, but {wrong:g} % wrong test images make it at least {least:g}"
    if not wrong and classes and loss > (most := math.log(classes)) * (1 + ROUNDING):
        yield f"loss is {loss:g}, but all test images right of {classes} classes make it at most {most:g}"


def _of_images(record: Record) -> Iterator[str]:
    """Images of a set of its budget, as far as a record tells the sizes of classes."""
    document, classes = record.evaluation, len(record.metrics.get("per_class") or ())
    facts, budget = document.facts, column_of(document)
    n, n_train, short = facts.n, facts.n_train, facts.short
    for place in document.also:
        for name in _OF_DATA:
            here, there = getattr(facts, name), getattr(place.facts, name)
            if None not in (here, there) and here != there:
                yield f"facts.{name} is {here}, but {there} of its row {shown_value(place.label)}"
    if n is None:
        return
    if document.whole:
        whole = None if n_train is None or facts.n_val is None else n_train + facts.n_val
        if whole is not None and n != whole:
            yield f"facts.n is {n}, but facts.n_train and facts.n_val come to {whole} images"
        return
    low, high = 0.0, math.inf
    if budget.ipc is not None and short is not None:
        full = budget.ipc * (short.of - short.classes)
        low, high = full + short.classes * short.least, full + short.classes * short.most
    elif budget.ipc is not None and classes:
        high = budget.ipc * classes
    elif budget.fraction is not None and n_train is not None and classes:  # of each class rounded, and at least 1
        low, high = budget.fraction * n_train - classes / 2, budget.fraction * n_train + classes
    if not low - CLOSE <= n <= high + CLOSE:
        what = f" of {n_train} training images" if budget.ipc is None else f" of {classes} classes"
        yield f"facts.n is {n}, but the budget is {budget.label}{what}"


def _of_rate(record: Record) -> Iterator[str]:
    """The learning rate is one that was to be tried, and the best on val of those that were."""
    chosen, document = record.selection or {}, record.evaluation
    params, lr = document.eval.protocol_params, chosen.get("lr")
    grid = params.get("lr")
    if lr is None or "val_top1" not in chosen or not isinstance(grid, Sequence) or not all(map(is_number, grid)):
        return
    tried, known = _by_number(chosen["val_top1"]), f"its protocol's are {', '.join(f'{rate:g}' for rate in grid)}"
    more = [rate for rate in tried if rate not in grid]
    if tried and (len(tried) == 1 or document.choice is not None or _follows(document)):
        yield "selection.val_top1 has accuracies, but there was no learning rate to choose"
    elif tried:
        yield from _of_best_rate(chosen, tried, grid, learns=bool(params.get("learned_lr")), known=known)
    elif _follows(document) is False:
        if lr not in grid and not (params.get("learned_lr") and chosen.get("own_lr", lr) == lr):
            yield f"selection.lr is {lr:g}, but {known}"
        if len(grid) > 1 and document.choice is None:
            yield f"selection.val_top1 is empty, but {known}"
    if "learned" in chosen and chosen["learned"] != (lr in more):
        yield f"selection.learned is {shown_value(chosen['learned'])}, but selection.lr is {lr:g} and {known}"
    yield from _of_tried(chosen, tried)


def _of_best_rate(
    chosen: Mapping[str, Any], tried: Mapping[float, Any], grid: Sequence[float], *, learns: bool, known: str
) -> Iterator[str]:
    lr, own, more = chosen["lr"], chosen.get("own_lr"), [rate for rate in tried if rate not in grid]
    extra = len(more) <= learns if own is None else more == [own] * (learns and own not in grid)
    if not extra or not {*grid} <= {*tried}:
        yield f"selection.val_top1 is of the learning rates {', '.join(f'{rate:g}' for rate in tried)}, but {known}"
    best = max((value for value in tried.values() if value is not None), default=None)
    if best is None or tried.get(lr) != best:
        yield f"selection.lr is {lr:g}, which is not the best of selection.val_top1"


def _of_tried(chosen: Mapping[str, Any], tried: Mapping[float, Any]) -> Iterator[str]:
    if "tried" in chosen and chosen["tried"] != max(1, len(tried)):
        yield f"selection.tried is {chosen['tried']}, but by selection.val_top1 it is {max(1, len(tried))}"


def _of_val(record: Record) -> Iterator[str]:
    """Accuracies on val are those of whole numbers of its images, and the student that was chosen has one of them."""
    document, chosen = record.evaluation, record.selection or {}
    own = record.metrics if _is_sgd(document) else {}  # a protocol of others may call anything so
    n = document.facts.n_val or 0
    for place, said in (("selection", chosen), ("metrics", own)):
        for name, value in (said.get("val_top1") or {}).items() if n else ():
            if value is not None and not is_whole(value * n / 100, n):
                yield f"{place}.val_top1 is {value:g} for {name}, no whole number of {n} val images"
    last = (own.get("val_top1") or {}).get("U")
    best = _by_number(chosen.get("val_top1") or {}).get(chosen.get("lr", math.nan))
    one = record.cost.attempts == 1 and record.env.get("device") == "cpu"  # else it may have been trained once more
    if one and not document.whole and None not in (last, best) and last != best:
        yield f"metrics.val_top1 ends at {last:g}, but selection.val_top1 has {best:g} for its learning rate"


def _of_updates(record: Record) -> Iterator[str]:
    """Updates are the protocol's, or the recipe's up to what the protocol allows; each student did all of them."""
    document, metrics, steps = record.evaluation, record.metrics, record.cost.steps
    params, updates = document.eval.protocol_params, record.updates
    usual, longest, wanted = params.get("updates"), params.get("longest"), metrics.get("recipe_updates")
    if not updates:
        return
    if _follows(document):
        if longest is not None and updates > longest:
            yield f"metrics.updates is {updates}, but its protocol allows {longest}"
        if longest is not None and wanted is not None and not updates == longest < wanted:
            yield f"metrics.recipe_updates is {wanted}, but {updates} of {longest} updates were made"
    elif updates != usual:
        yield f"metrics.updates is {updates}, but its protocol's are {usual}"
    tried = (record.selection or {}).get("val_top1") or {}
    students = max(1, len(tried) + (bool(tried) and document.whole and document.reported))
    diverged = sum(value is None for value in tried.values())
    again = record.cost.attempts > 1 and bool(tried)  # the chosen one is trained again where it is of another attempt
    if not updates * (students - diverged) <= steps <= updates * (students + again):
        told = f"{students} students of {updates} updates" if students > 1 else f"{updates} updates"
        yield f"cost.steps is {steps}, but the record is of {told}"


def _is_sgd(document: EvaluationDocument) -> bool:
    """Whether a protocol of ddbench's own trained the student, update by update."""
    return "protocol" not in document.eval.origins and "drop_after" in document.eval.protocol_params


def _follows(document: EvaluationDocument) -> bool | None:
    """Whether the student followed the recipe of a set, which no record holds; None: protocols of others may."""
    spec = document.eval
    return None if "protocol" in spec.origins else spec.protocol == "native" or "longest" in spec.protocol_params


def _by_number(told: Mapping[str, Any]) -> dict[float, Any]:
    """Accuracies by step or learning rate, which are text in JSON; what is no number is NaN, which none equals."""
    found: dict[float, Any] = {}
    for name, value in told.items():
        try:
            found[float(name)] = value
        except ValueError:
            found[math.nan] = value
    return found
