"""What MTT and its descendants have in common: an expert's stretch, a student that follows it, and what is learned.

The published algorithms differ in which stretch, which labels and which gradient; those lines stand in the methods.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean, stdev
from typing import TypeVar

import torch
from torch import Tensor

from ddbench.blocks.augment import DSA
from ddbench.blocks.continuations import continue_pairs
from ddbench.blocks.experts import Experts
from ddbench.blocks.initial import class_slots, first_images
from ddbench.blocks.moved import image_change, pixels_moved
from ddbench.blocks.parametrize import Parametrisation
from ddbench.blocks.params import TrajectoryParams
from ddbench.blocks.teachers import correct_first
from ddbench.blocks.trajectory import (
    Learned,
    distance_to,
    match,
    matching_loss,
    positive,
    replayed,
    segment,
    student_batches,
)
from ddbench.blocks.unroll import Unrolled, walk
from ddbench.core.api import CondensedSet, Method, Recipe, RunContext, State
from ddbench.core.records import ACCEPTED_STEPS, REFUSED_PERCENT

P = TypeVar("P", bound=TrajectoryParams)

BETAS = (0.01, 0.03, 0.1, 0.3)
"""Among which ``lr_init: search`` chooses β₀."""

SEARCH_SEGMENTS = (2, 10)
SEARCH_IMAGES = 50_000
"""Segments of a search, at least and at most; in between, so many that students see this many images in all."""

NOISE = 0.5
"""A window whose continuations have a smaller mean cosine is called noise-limited."""

TAIL = 0.2
"""Share of the steps, the last, over which the matching loss is averaged for the record."""


class TrajectoryMethod(Method[P]):
    """Base of methods that match trajectories.

    ``prepare`` calls :meth:`open_pool` and :meth:`learn`; ``step`` calls :meth:`draw`, :meth:`follow`, :meth:`update`.

    Attributes:
        experts: The pool.
        net: A network of the experts' architecture, used as a function.
        classes: [n] int64, the class each synthetic image stands for.
        form: What is stored and how it decodes to the images that students see.
        start: What was started from, like ``images``.
        images: What is stored: by default the pixels, [n, C, H, W].
        lr: β.
        lr_losses: The matching loss with each β₀ that was tried; empty where β₀ is given.
        soft: Logits [n, K] of soft labels, None for hard ones.
        tally: Sums for :meth:`diagnostics`.
        losses: Of every step so far.
    """

    soft: Learned | None = None

    def __init__(self, params: P) -> None:
        super().__init__(params)
        self.form = Parametrisation.of(params)

    def open_pool(self, ctx: RunContext) -> None:
        """The experts, a network of their kind, and the augmentation that they and their students see."""
        self.experts = Experts(ctx.artifact("experts"))
        self.experts.check(self.params.pool, warn=ctx.warn)
        p = self.params
        updates = p.match_snapshots * p.pool.between(len(ctx.train))
        if not p.expert_source and updates <= p.syn_steps:
            ctx.warn(
                f"the student follows {updates} updates of an expert in {p.syn_steps} of its own: nothing to gain "
                "(raise match_snapshots or snapshot_updates, or lower syn_steps)"
            )
        self.net = ctx.build_model(seed=0)
        self.dsa = DSA.for_dataset(ctx.dataset.flip) if self.params.augment == "dsa" else None

    def first_images(self, ctx: RunContext) -> Tensor:
        """The images that ``params.init`` asks for: [n, C, H, W]; sets ``classes``."""
        rule, times = self.params.init, self.form.times
        self.classes = class_slots(ctx, times)
        if rule == "correct":
            return ctx.train.images(correct_first(ctx, self.net, self.experts, times))
        return first_images(ctx, rule, times)

    def first_soft(self, ctx: RunContext) -> Learned | None:
        """Soft labels of the first images, which stand in ``images``; None for hard ones."""
        return None

    @property
    def labels_now(self) -> Tensor:
        """What students are trained on: [n] int64 classes, or [n, K] logits."""
        return self.classes if self.soft is None else self.soft.value

    def labels_for(self, target: Tensor) -> Tensor:
        """What a student that heads for ``target`` would be trained on, like :attr:`labels_now`."""
        return self.labels_now

    def learn(self, ctx: RunContext) -> None:
        """Make the first images, their labels and the step size learnable, by SGD with momentum."""
        p = self.params
        self.start = self.form.encode(self.first_images(ctx))
        self.images = Learned(self.start, p.lr_img, p.momentum)
        self.soft = self.first_soft(ctx)
        self.lr_losses = self.search(ctx) if p.lr_init == "search" else {}
        first = p.lr_init if p.lr_init != "search" else min(self.lr_losses, key=lambda lr: self.lr_losses[lr])
        self.lr = Learned(torch.tensor(first, device=self.start.device), p.lr_lr, p.momentum, clamp=positive)
        self.tally = {"steps": 0.0, "skipped": 0.0, "distance": 0.0}
        self.tally |= dict.fromkeys(("lr_first", "lr_low", "lr_high"), first)
        self.losses: list[float] = []

    def draw(self, ctx: RunContext, bound: int) -> tuple[Tensor, Tensor]:
        """θ*_t and θ*_{t+M} of a random expert, T⁻ ≤ t < ``bound``."""
        p = self.params
        start, target = segment(
            self.experts, first=p.min_start, bound=bound, length=p.match_snapshots, generator=ctx.generator
        )
        self.tally["steps"] += 1
        self.tally["distance"] += float((target - start).norm())
        return start.to(self.start), target.to(self.start)

    def search(self, ctx: RunContext) -> dict[float, float]:
        """β₀ → the mean matching loss of the first images, on the same segments, batches and augmentations for all.

        Nothing is trained. The segments are drawn from the whole window, by a generator of their own; infinite: a
        student diverged.
        """
        p, images = self.params, self.form.decode(self.images.value)
        least, most = SEARCH_SEGMENTS
        seen = len(BETAS) * p.syn_steps * min(len(images), p.batch_syn or len(images))
        segments = min(most, max(least, SEARCH_IMAGES // seen))
        generator = torch.Generator().manual_seed(ctx.private_seed("lr_init"))
        losses = dict.fromkeys(BETAS, 0.0)
        for i in range(segments):
            start, target = segment(
                self.experts, first=p.min_start, bound=p.max_start, length=p.match_snapshots, generator=generator
            )
            start, target = start.to(self.start), target.to(self.start)
            batches = student_batches(len(images), p.batch_syn, p.syn_steps, generator)
            augment, labels = replayed(self.dsa, batches, generator), self.labels_for(target)
            for lr in BETAS:
                loss = matching_loss(self.net, start, target, images, labels, lr, batches, augment)
                losses[lr] += loss / segments
            ctx.progress(i + 1, segments, "segments of the search of β₀")
        if not any(map(math.isfinite, losses.values())):
            ctx.warn(f"students diverge from the first images at every β₀ of {', '.join(map(str, BETAS))}")
        return losses

    def follow(self, ctx: RunContext, start: Tensor, target: Tensor) -> Unrolled:
        """Train a student from ``start`` for N updates: how far from ``target`` it ends, and the gradients of that."""
        p, images = self.params, self.form.decode(self.images.value)
        batches = student_batches(len(images), p.batch_syn, p.syn_steps, ctx.generator)
        return match(
            self.net, start, target, images, self.labels_now, self.lr.value,
            batches, augment=replayed(self.dsa, batches, ctx.generator), gradients=p.gradients,
            keep_bytes=p.keep_mb * 10**6 or None,
        )  # fmt: skip

    def update(self, ctx: RunContext, found: Unrolled) -> Mapping[str, float]:
        """One SGD step of pixels, β and soft labels, unless the gate is shut."""
        loss, gate = float(found.loss), self.params.gate
        self.losses.append(loss)
        if gate and not loss <= gate:
            self.tally["skipped"] += 1
            return {"skipped": self.tally["skipped"]}
        self.images.step(self.form.pull(self.images.value, found.grad_images))
        self.lr.step(found.grad_lr)
        for name, pick in (("lr_low", min), ("lr_high", max)):
            if name in self.tally:
                self.tally[name] = pick(self.tally[name], float(self.lr.value))
        if self.soft is not None and found.grad_labels is not None:
            self.soft.step(found.grad_labels)
        return {"loss": loss, "lr": float(self.lr.value)}

    def condensed(self, ctx: RunContext, images: Tensor, *, batch: int | None = None) -> CondensedSet:
        """A set of these images with the labels as they stand; β travels in the recipe.

        Args:
            ctx: The run.
            images: What is stored, like ``images``.
            batch: The batch size that the authors evaluate with; None: the protocol's.
        """
        recipe = Recipe(lr=float(self.lr.value), batch=batch, augmentation=self.params.augment)
        if self.soft is None:
            return self.form.condensed(images, self.classes, ctx.train.preprocess, recipe)
        return self.form.condensed(images, self.soft.value, ctx.train.preprocess, recipe, classes=self.classes)

    @property
    def reported(self) -> Tensor:
        """What the set is made of, like ``images``: these, unless a method averages them."""
        return self.images.value

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """What :mod:`ddbench.blocks.said` explains: where segments lay, how well they were matched, what changed."""
        p, tally = self.params, self.tally
        curve = self.experts.train_top1.mean(0)
        found = {
            "window_first_top1": float(curve[p.min_start]),
            "window_last_top1": float(curve[p.max_start - 1]),
            "image_change": image_change(self.start, self.images.value),
            **pixels_moved(ctx, self.form, self.start, self.reported),
            **{name: tally[name] for name in ("lr_first", "lr_low", "lr_high") if name in tally},
            "lr_last": float(self.lr.value),
            **{f"lr_loss_{lr:g}": loss for lr, loss in self.lr_losses.items() if math.isfinite(loss)},
        }
        if tally["steps"]:
            found |= self._steps_taken(ctx)
        if tail := [loss for loss in self.losses[-math.ceil(TAIL * ctx.step) :] if math.isfinite(loss)]:
            found["matching_loss"] = fmean(tail)
        if ctx.step >= ACCEPTED_STEPS and not p.expert_source:
            found |= self._reproducible(ctx)
        return found

    def _steps_taken(self, ctx: RunContext) -> dict[str, float]:
        """How many steps changed the set, and what that means."""
        steps, skipped = self.tally["steps"], self.tally["skipped"]
        accepted, refused = steps - skipped, 100 * skipped / steps
        found = []
        if accepted < ACCEPTED_STEPS:
            found.append(f"fewer than {ACCEPTED_STEPS} steps changed the set")
        if refused > REFUSED_PERCENT:
            found.append(f"the gate refused more than {REFUSED_PERCENT:g} % of the steps")
        for text in found:
            ctx.warn(f"{ctx.budget.label}: {text}: claims about it are worded as run")
        length = self.tally["distance"] / steps
        return {"accepted_steps": accepted, "skipped_percent": refused, "segment_norm": length}

    def _reproducible(self, ctx: RunContext) -> dict[str, float]:
        """How far the window is reproducible, and how near the finished set comes to continuations no step has seen.

        These start from snapshots of the pool. Not for imported pools, whose recipe is not known, nor for short runs.
        """
        p, made = self.params, self.finalise(ctx)
        assert made.images is not None and made.recipe.lr is not None
        images, labels = made.images.to(self.start), made.labels.to(self.start.device)
        generator = torch.Generator().manual_seed(ctx.private_seed("diagnostics", "students"))
        cosines: list[float] = []
        losses: list[float] = []
        window = {"first": p.min_start, "bound": p.max_start, "length": p.match_snapshots}
        for pair in continue_pairs(ctx, self.experts, p.pool, **window):
            cosines.append(pair.cosine)
            batches = student_batches(len(images), p.batch_syn, p.syn_steps, generator)
            augment = replayed(self.dsa, batches, generator)
            reached = walk(self.net, pair.start, batches, images, labels, made.recipe.lr, augment=augment)
            losses += [float(distance_to(end, pair.start)(reached)) for end in pair.ends]
        c = fmean(cosines)
        if c < NOISE:
            ctx.warn(
                f"{ctx.budget.label}: its window is noise-limited: c(t, M) = {c:.1f}, two continuations of an expert "
                f"share less than {NOISE:g} of their way"
            )
        return {"c": c, "c_sd": stdev(cosines), "fresh_loss": fmean(losses)}

    def state_dict(self) -> State:
        """Images, β and labels with their momenta, and the sums."""
        soft = None if self.soft is None else self.soft.state()
        learned = {"images": self.images.state(), "lr": self.lr.state(), "soft": soft}
        return {**learned, "tally": dict(self.tally), "losses": torch.tensor(self.losses, dtype=torch.float64)}

    def load_state_dict(self, state: State) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.images.load(state["images"])
        self.lr.load(state["lr"])
        if self.soft is not None:
            self.soft.load(state["soft"])
        self.tally = {"lr_first": self.tally["lr_first"], **state["tally"]}  # states of before do not have it
        self.losses = state["losses"].tolist()
