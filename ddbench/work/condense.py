"""The loop around a method: steps, checkpoints, snapshots, the choice on val, and checks of what comes out."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from ddbench.core.api import ClassCounts, CondensedSet, Method
from ddbench.core.errors import CorruptFileError, InterruptedRunError, NodeFailureError
from ddbench.core.specs import DatasetInfo, snapshot_points
from ddbench.core.store.files import StoreWarning, flush, set_aside
from ddbench.core.store.folder import CHECKPOINT, SPEC
from ddbench.core.store.tensors import load_set, load_state, save_set, save_state
from ddbench.core.words import plural
from ddbench.work.clock import Clock
from ddbench.work.context import Context
from ddbench.work.continuation import FINAL, continues
from ddbench.work.failures import ascii_of
from ddbench.work.meter import Meter, Spent
from ddbench.work.recipes import problems_of_recipe
from ddbench.work.timers import PREPARE

SHOWN = 20
"""Classes whose numbers of images a message lists."""


@dataclass(slots=True)
class History:
    """What earlier attempts at a cell left.

    Attributes:
        step: Steps done.
        state: The method's state, None before the first checkpoint.
        generator: State of the context's generator.
        spent: What they took.
        warnings: Sentences for the record.
        forerunner: Key of the shorter run that it goes on from; empty when it began by itself.
    """

    step: int = 0
    state: Mapping[str, Any] | None = None
    generator: torch.Tensor | None = None
    spent: Spent = field(default_factory=Spent)
    warnings: list[str] = field(default_factory=list)
    forerunner: str = ""

    @classmethod
    def read(cls, folder: Path) -> History:
        """The checkpoint in ``folder``; a corrupt one is set aside, and the cell starts over."""
        path = folder / CHECKPOINT
        if not path.exists():
            return cls()
        try:
            return cls(**_with_spent(load_state(path)))
        except (CorruptFileError, TypeError, KeyError) as error:
            warnings.warn(f"{path}: checkpoint cannot be used ({error}); starting over", StoreWarning, stacklevel=2)
            set_aside(path)
            return cls()


def _with_spent(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a checkpoint; one of before has wall seconds alone, beside the other fields."""
    found = dict(kept)
    if "spent" in found:
        return found | {"spent": Spent(**found["spent"])}
    wall, peak, attempts = (found.pop(name) for name in ("seconds", "peak_mb", "attempts"))
    return found | {"spent": Spent(seconds={"wall": wall}, peak_mb=peak, attempts=attempts)}


@dataclass
class Condensation:
    """One attempt at a cell, continuing earlier ones."""

    method: Method[Any]
    ctx: Context
    clock: Clock
    meter: Meter
    folder: Path
    history: History
    kind: str
    diagnostics: dict[str, float] = field(default_factory=dict)

    def run(self) -> tuple[CondensedSet, dict[str, Any] | None]:
        """The set, and what was chosen on val.

        Raises:
            NodeFailureError: If the loss or the set is not finite, the set does not fit, or time is up.
            InterruptedRunError: If the user asked to stop; a checkpoint is written.
        """
        ctx, method = self.ctx, self.method
        with self.meter.phase(PREPARE):
            method.prepare(ctx)
        if self.history.state is not None:
            assert self.history.generator is not None
            method.load_state_dict(self.history.state)
            ctx.generator.set_state(self.history.generator)
            ctx.step = self.history.step
            for text in self.history.warnings:
                ctx.warn(text)
        total = method.params.steps
        counted = "iterations" if "iterations" in type(method.params).model_fields else "steps"
        points = snapshot_points(total) if self.kind == "distillation" and total else ()
        with self.meter.phase("condense"), self.clock.interrupts.deferred():
            while not method.done(ctx):
                returned = method.step(ctx)
                ctx.step += 1
                metrics = check_finite(returned, ctx.step)
                if ctx.step in points:
                    save_set(self.snapshot(ctx.step), self.finalised())
                self.clock.tick(ctx.step, total, self.checkpoint, counted, metrics)
            condensed = self.finalised()
            chosen = None
            if method.params.keeps_best_snapshot and points:
                condensed, chosen = self.best_on_val(condensed, points)
        params = method.params
        check_set(condensed, ctx, self.kind, params.class_counts, own_student=params.own_student)
        if continues(method.params):
            self.keep(FINAL)
        self.diagnostics = self.diagnose()
        return condensed, chosen

    def finalised(self) -> CondensedSet:
        """The method's set by now.

        Raises:
            NodeFailureError: If it returns something else.
        """
        condensed: object = self.method.finalise(self.ctx)
        if not isinstance(condensed, CondensedSet):
            raise NodeFailureError("failed", f"finalise returned {article(condensed)}, not a CondensedSet")
        return condensed

    def diagnose(self) -> dict[str, float]:
        """What the method says about its run; a finished set is not lost because that fails."""
        try:
            return {name: number(name, value) for name, value in self.method.diagnostics(self.ctx).items()}
        except (KeyboardInterrupt, InterruptedRunError):
            raise
        except BaseException as error:  # a plugin's code
            self.ctx.warn(f"its diagnostics failed: {type(error).__name__}: {error}")
            return {}

    def snapshot(self, step: int) -> Path:
        """File of the snapshot after ``step`` steps."""
        return self.folder / "snapshots" / f"{step:07d}.safetensors"

    def checkpoint(self) -> None:
        """Keep everything that the next attempt needs; it goes on with the engine that the cell's file names."""
        with contextlib.suppress(FileNotFoundError):  # a method's own tests write none
            flush(self.folder / SPEC)
        self.keep(CHECKPOINT)

    def keep(self, name: str) -> None:
        """Write where the method is by now."""
        state = {
            "step": self.ctx.step,
            "state": self.method.state_dict(),
            "generator": self.ctx.generator.get_state(),
            "spent": asdict(self.history.spent.plus(self.meter)),
            "warnings": self.ctx.warnings,
            "forerunner": self.history.forerunner,
        }
        save_state(self.folder / name, state)

    def best_on_val(self, last: CondensedSet, points: tuple[int, ...]) -> tuple[CondensedSet, dict[str, Any]]:
        """The snapshot, or the set after the last step, that scores best on val (the earliest of equals)."""
        sets = {step: load_set(self.snapshot(step)) for step in points if step < self.ctx.step} | {self.ctx.step: last}
        scores = {step: self.ctx.score(condensed) for step, condensed in sets.items()}
        best = max(scores, key=lambda step: scores[step])
        values = {str(step): value for step, value in scores.items()}
        return sets[best], {"rule": "val", "step": best, "tried": len(scores), "val_top1": values}


def check_finite(metrics: Mapping[str, float], step: int) -> dict[str, float]:
    """The losses of a step as plain numbers; stops a cell of which one is none any longer, or which returns others.

    Raises:
        NodeFailureError: With status ``nan`` or ``failed``.
    """
    if not isinstance(metrics, Mapping):
        raise NodeFailureError("failed", f"step {step} returned {article(metrics)}, not a dict of losses")
    losses: dict[str, float] = {}
    for name, value in metrics.items():
        if not isinstance(name, str):
            raise NodeFailureError("failed", f"step {step}: the name {ascii_of(name)} of a loss is {article(name)}")
        try:
            losses[name] = number(name, value)
        except TypeError as error:
            raise NodeFailureError("failed", f"step {step}: {error}") from None
        if not math.isfinite(losses[name]):
            raise NodeFailureError("nan", f"{name} is {value} at step {step}")
    return losses


def number(name: str, value: object) -> float:
    """A real number of any type, or the only element of a tensor or an array.

    Args:
        name: What the plugin calls it.
        value: What it gives.

    Raises:
        TypeError: If the value is something else; says what.
    """
    with contextlib.suppress(Exception):  # of complex numbers, several elements, a plugin's own type
        plain: Any = value.item() if hasattr(value, "item") else value
        if not isinstance(plain, str | bytes | bytearray):  # these may be digits
            return float(plain)
    raise TypeError(f"{ascii_of(name)} is {article(value)}, not a number")


def article(value: object) -> str:
    """``None``, or what a value is: ``a list``, ``a tensor of shape (2, 3)``."""
    if value is None:
        return "None"
    kind = type(value).__name__
    if isinstance(value, torch.Tensor):
        kind = "complex tensor" if value.is_complex() else "tensor"
    shape = getattr(value, "shape", ())
    return f"a {kind}{f' of shape {tuple(shape)}' if isinstance(shape, tuple) and shape else ''}"


def check_set(
    condensed: CondensedSet, ctx: Context, kind: str, promised: ClassCounts = "exact", *, own_student: bool = False
) -> None:
    """What every set must satisfy, whoever made it.

    Args:
        condensed: The set.
        ctx: What it was made in.
        kind: Of the method.
        promised: How its params say that it keeps to the budget.
        own_student: What ``Params.own_student`` says.

    Raises:
        NodeFailureError: If it does not.
    """
    problem = next(_problems_of_kinds(condensed), None)
    if problem is not None:
        raise NodeFailureError("failed", problem)
    if condensed.images is not None and not bool(torch.isfinite(condensed.images).all()):
        raise NodeFailureError("nan", "the condensed images are not finite")
    if condensed.label_space != "hard" and not bool(torch.isfinite(condensed.labels).all()):
        raise NodeFailureError("nan", "the condensed labels are not finite")
    found = chain(_problems(condensed, ctx, kind, promised), problems_of_recipe(condensed, ctx, own_student))
    problem = next(found, None)
    if problem is not None:
        raise NodeFailureError("failed", problem)


def _problems_of_kinds(condensed: CondensedSet) -> Iterator[str]:
    """Which tensors are none of plain real numbers, so that nothing can be asked of them."""
    parts = {name: getattr(condensed, name) for name in ("images", "labels", "indices", "weights")}
    parts["classes"] = condensed.aux.get("classes")
    soft = condensed.label_space != "hard"
    for name, tensor in parts.items():
        if tensor is None:
            continue
        whole = name in ("indices", "classes") or (name == "labels" and not soft)
        wanted = (torch.int64,) if whole else (torch.float32,)
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            yield f"{name} are no plain tensor ({tensor.layout}, {tensor.dtype} on {tensor.device})"
        elif tensor.dtype not in wanted:
            yield f"{name} are {tensor.dtype}, not {str(wanted[0]).removeprefix('torch.')}"
    if (classes := parts["classes"]) is not None and classes.shape != (len(condensed),):
        yield f"classes have shape {list(classes.shape)} for {plural(len(condensed), 'image')}"


def _problems(condensed: CondensedSet, ctx: Context, kind: str, promised: ClassCounts) -> Iterator[str]:
    """What is wrong with a set, the gravest first; nothing later is looked at before it is asked for."""
    n, allowed = len(condensed), sum(ctx.per_class)
    if n == 0:
        yield "the set is empty"
    if condensed.preprocess != ctx.train.preprocess:
        yield f"the set declares {condensed.preprocess.id}, the cell runs in {ctx.train.preprocess.id}"
    if condensed.weights is not None:
        yield from _problems_of_weights(condensed.weights)
    if kind != "reference" and n > allowed and not condensed.storage.codes:
        yield f"the set has {plural(n, 'image')}, the budget allows {allowed}"
    if condensed.images is not None:
        yield from _problems_of_images(condensed.images, ctx.dataset)
    yield from _problems_of_labels(condensed, ctx.dataset.classes)
    if kind != "reference":
        yield from _problems_of_counts(condensed, ctx.per_class, promised)
    if condensed.indices is not None:
        yield from _problems_of_indices(condensed.indices, len(ctx.train))


def _problems_of_weights(weights: torch.Tensor) -> Iterator[str]:
    if not bool(torch.isfinite(weights).all()):
        yield "the weights are not finite"
    if float(weights.min()) < 0:
        yield f"a weight is {float(weights.min()):g}: a student would unlearn the image"
    if not float(weights.max()) > 0:
        yield "all weights are 0: nothing can be learned from the set"


def _problems_of_counts(
    condensed: CondensedSet, per_class: Sequence[int], promised: ClassCounts
) -> Iterator[str]:  # fmt: skip
    """How its images of each class are not the budget's: with more of an easy class, or fewer of all, no two compare.

    Where codes are stored, each of them decodes to the same number of images.
    """
    n, allowed = len(condensed), sum(per_class)
    times = max(1, n // allowed) if condensed.storage.codes else 1
    wanted = torch.tensor(per_class) * times
    slots = condensed.labels if condensed.label_space == "hard" else condensed.aux.get("classes")
    total = times * allowed
    if slots is not None and promised in ("exact", "at_most"):
        counts = slots.bincount(minlength=len(per_class)).cpu()
        wrong = counts > wanted if promised == "at_most" else counts != wanted
        if bool(wrong.any()) and len(per_class) <= SHOWN:
            yield f"classes have {counts.tolist()} images, the budget says {wanted.tolist()}"
        elif bool(wrong.any()):
            c = int(wrong.nonzero()[0])
            yield f"class {c} has {plural(int(counts[c]), 'image')}, the budget says {int(wanted[c])}"
    if n > total or (promised in ("exact", "total") and n != total):
        yield f"the set has {plural(n, 'image')}, the budget says {total}"


def _problems_of_images(images: torch.Tensor, info: DatasetInfo) -> Iterator[str]:
    shape = (info.channels, info.size, info.size)
    if images.shape[1:] != shape:
        yield f"images have shape {tuple(images.shape[1:])}, not {shape}"


def _problems_of_labels(condensed: CondensedSet, classes: int) -> Iterator[str]:
    labels = condensed.labels
    if condensed.label_space != "hard":
        if labels.shape[1] != classes:
            yield f"labels have {plural(labels.shape[1], 'column')} for {classes} classes"
        slots = condensed.aux.get("classes")
        if slots is not None and not 0 <= int(slots.min()) <= int(slots.max()) < classes:
            yield f"classes lie outside 0 … {classes - 1}"
    elif not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        yield f"labels lie outside 0 … {classes - 1}"


def _problems_of_indices(indices: torch.Tensor, available: int) -> Iterator[str]:
    if not 0 <= int(indices.min()) <= int(indices.max()) < available:
        yield f"indices lie outside 0 … {available - 1}"
    if len(torch.unique(indices)) != len(indices):
        yield "an image is selected twice"
