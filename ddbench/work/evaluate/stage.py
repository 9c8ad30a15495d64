"""The evaluation stage: train a student on a set, then open the test split once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from ddbench.core.api import (
    CondensedSet,
    EvalProtocol,
    Predictor,
    ProtocolInfo,
    ProtocolParams,
    Recipe,
    State,
    StorageBytes,
)
from ddbench.core.errors import NodeFailureError, UsageError
from ddbench.core.keys import student_seed
from ddbench.core.plugin.loader import Registries, import_target
from ddbench.core.plugin.protocols import CONTRACT
from ddbench.core.sets import other_space
from ddbench.core.specs import DatasetInfo, DataSpec, EvalSpec, reported
from ddbench.data.dataset import facts_of
from ddbench.data.space.split import Split, open_splits, open_test, open_whole
from ddbench.models.names import with_norm
from ddbench.work.evaluate.inputs import Inputs, network, start_from
from ddbench.work.evaluate.metrics import accuracy, logits_of, measure

Student = tuple[Predictor, dict[str, Any]]
"""A trained student, and the numbers noted while it trained."""

Tick = Callable[[int, int, Callable[[], State]], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What one evaluation found.

    Attributes:
        metrics: See :class:`ddbench.core.records.Record`.
        n_test: Test images.
        selection: The learning rate, how it was chosen, how many were tried, and the set's own where it has one.
        predictions: [n_test] int16, arg max.
        logits: [n_test, K] float32.
    """

    metrics: dict[str, Any]
    n_test: int
    selection: dict[str, Any]
    predictions: Tensor
    logits: Tensor


@dataclass
class Evaluation:
    """One student (and the learning rates tried for it).

    Attributes:
        spec: What is evaluated how.
        protocol: The protocol.
        data: Where ``condensed`` comes from.
        condensed: The set.
        device: Where to train.
        registries: Loaded plugins.
        whole: Whether the set is all of train ∪ val (references): the learning rate is chosen on train and val first.
            Where nothing but that choice is wanted (what is not reported), the student that was chosen is tested.
        recipe: Recipe to follow (native), else None.
        recipe_images: Images of the set that it came with, else None.
        initial: The state that this recipe starts students from, [P]; None where it names none.
        chosen: What another repetition chose (its record's ``selection``), None when there is nothing to reuse.
        folders: Artifact folders, ``whitening`` among them.
        tick: Called after every update with progress and a function that gives the state to resume from.
        resumed: That state, after an interruption.
    """

    spec: EvalSpec
    protocol: ProtocolInfo
    data: DataSpec
    condensed: CondensedSet
    device: torch.device
    registries: Registries
    whole: bool = False
    recipe: Recipe | None = None
    recipe_images: int | None = None
    initial: Tensor | None = None
    chosen: Mapping[str, Any] | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)
    tick: Tick = lambda done, total, state: None
    resumed: State | None = None

    @cached_property
    def params(self) -> ProtocolParams:
        """The protocol's resolved params."""
        params: ProtocolParams = import_target(self.protocol.params).model_validate(self.spec.protocol_params)
        return params

    @cached_property
    def splits(self) -> tuple[Split, Split]:
        """Train and val."""
        return open_splits(self.data, **self._how)

    @cached_property
    def info(self) -> DatasetInfo:
        """Facts about the data."""
        return facts_of(self.data, self.registries.datasets)

    @cached_property
    def trained(self) -> str:
        """The network that is trained: the one that the spec names, with the norm that the recipe asks for.

        Raises:
            NodeFailureError: If its family has no such norm.
        """
        norm = None if self.recipe is None else self.recipe.norm
        if norm is None:
            return self.spec.arch
        try:
            return with_norm(self.spec.arch, norm, self.registries.architectures)
        except UsageError as error:
            raise NodeFailureError("failed", f"the recipe asks for students with norm {norm!r}: {error}") from None

    @property
    def _how(self) -> dict[str, Any]:
        """How its data is opened."""
        known = self.registries.datasets
        return {"device": self.device, "whitening": self.folders.get("whitening"), "known": known}

    def run(self) -> Result:
        """Choose the learning rate, train, test.

        Raises:
            NodeFailureError: If the student diverges, or the set cannot be used under this protocol.
        """
        if self.condensed.preprocess != self.splits[0].preprocess:
            raise NodeFailureError("failed", other_space(self.condensed.preprocess, self.splits[0].preprocess))
        self._trials: list[dict[str, Any]] = list((self.resumed or {}).get("trials", []))
        rates = self._rates()
        lr: float = rates[0]["lr"]
        student: Student | None = None
        if len(rates) > 1:
            lr, student = self._choose(rates)
        retrain = self.whole and reported(self.spec.r, self.data.split)
        if student is None or retrain:
            student = self._fit(lr, final=retrain or not self.whole)
        predictor, notes = student
        tried = {repr(trial["lr"]): trial["val_top1"] for trial in self._trials}
        learned = len(rates) > 1 and any(rate["lr"] == lr and rate["learned"] for rate in rates)
        selection = {"lr": lr, "learned": learned, "tried": max(1, len(tried)), "val_top1": tried}
        if (own := self.condensed.recipe.sgd_lr) is not None:
            selection["own_lr"] = own
        test = open_test(self.data, **self._how)
        logits = logits_of(predictor, test)
        metrics = measure(logits, test.labels, self.info.classes) | notes
        if self.trained != self.spec.arch:
            metrics["student"] = self.trained
        return Result(metrics, len(test), selection, logits.argmax(1).to(torch.int16), logits)

    def _rates(self) -> list[dict[str, Any]]:
        """The learning rates to try; one when there is nothing to choose."""
        own = self.condensed.recipe.sgd_lr
        if self.recipe is not None:
            own = self.recipe.lrs[0] if self.recipe.lrs else self.recipe.lr
            return [{"lr": self.params.lr[0] if own is None else own, "learned": False}]
        if self.chosen is not None:
            learned = self.chosen["learned"] and own is not None
            return [{"lr": own if learned else self.chosen["lr"], "learned": learned}]
        rates = [{"lr": lr, "learned": False} for lr in self.params.lr]
        if self.params.learned_lr and own is not None and own not in self.params.lr:
            rates.append({"lr": own, "learned": True})
        return rates

    def _choose(self, rates: list[dict[str, Any]]) -> tuple[float, Student | None]:
        """The rate that is best on val (the first of equals), with its student when it was trained in this process."""
        students: dict[float, Student] = {}
        val = self.splits[1]
        for rate in rates[len(self._trials) :]:
            lr, top1 = rate["lr"], None
            try:
                students[lr] = self._fit(lr, final=False)
                top1 = accuracy(logits_of(students[lr][0], val), val.labels)
            except NodeFailureError as error:
                if error.status != "nan":
                    raise
            self._trials.append({"lr": lr, "val_top1": top1})
        finite = [trial for trial in self._trials if trial["val_top1"] is not None]
        if not finite:
            raise NodeFailureError("nan", f"the student diverges at every learning rate of {[r['lr'] for r in rates]}")
        best = max(finite, key=lambda trial: trial["val_top1"])["lr"]
        return best, students.get(best)

    def _fit(self, lr: float, *, final: bool) -> Student:
        """Train one student; ``final`` on train ∪ val for references."""
        train, val = self.splits
        condensed: CondensedSet = self.condensed
        seen: Split | None = val
        if self.whole and final:
            train = open_whole(self.data, **self._how)
            condensed, seen = as_set(train, self.condensed), None
        stopped = (self.resumed or {}).get("current")
        state = stopped["state"] if stopped and (stopped["lr"], stopped["final"]) == (lr, final) else None
        inputs = Inputs(
            self.params, lr, self.recipe, train, seen, self.info, self.device, self.folders,
            recipe_images=self.recipe_images, resumed=state, on_tick=self._ticker(lr, final),
        )  # fmt: skip
        protocol: EvalProtocol = import_target(self.protocol.target)()
        spec = self.spec
        seed = student_seed(spec.master, self.data.name, spec.r, spec.e, spec.arch)
        # A copy: what one student's training writes into the set must not reach the next learning rate's.
        predictor = protocol.fit(condensed.copy(), self._student, seed, inputs)
        return checked(predictor, self.protocol, self.trained, self.info.classes), inputs.notes

    def _ticker(self, lr: float, final: bool) -> Tick:
        trials = list(self._trials)

        def on_tick(done: int, total: int, state: Callable[[], State]) -> None:
            self.tick(done, total, lambda: {"trials": trials, "current": {"lr": lr, "final": final, "state": state()}})

        return on_tick

    def _student(self, seed: int) -> nn.Module:
        model = network(self.trained, self.info, self.device, seed, self.registries.architectures)
        if self.recipe is not None and self.recipe.initial:
            if self.initial is None:
                raise NodeFailureError("failed", "the recipe asks for an initial state, which the set does not hold")
            start_from(model, self.initial, self.trained)
        return model


def checked(predictor: Predictor, protocol: ProtocolInfo, student: str, classes: int) -> Predictor:
    """The predictor, which fails where it runs a network in train mode, and where it gives no finite logits [n, K].

    A network in train mode predicts an image by the others of its batch, drops units at random, or learns from test
    images; the arg max of NaN is class 0.

    Args:
        predictor: What ``fit`` returned.
        protocol: Whose predictor it is.
        student: What was trained.
        classes: K.

    Raises:
        NodeFailureError: If it cannot be called.
    """
    name = f"{protocol.name}@{protocol.version}"
    if not callable(predictor):
        problem = f"`fit` of protocol {name} returns a {type(predictor).__name__}, not a function from images to logits"
        raise NodeFailureError("failed", f"{problem} ({CONTRACT})")
    who = f"the predictor of protocol {name} for {student}"

    def refuse(module: nn.Module, arguments: object) -> None:
        if module.training:
            raise NodeFailureError(
                "failed",
                f"the predictor of protocol {name} runs a {type(module).__name__} in train mode: `fit` must call "
                "model.eval() before it returns",
            )

    def predict(images: Tensor) -> Tensor:
        watch = register_module_forward_pre_hook(refuse)
        try:
            logits = predictor(images)
        finally:
            watch.remove()
        wanted = [len(images), classes]
        if not isinstance(logits, Tensor):
            raise NodeFailureError("failed", f"{who} gives a {type(logits).__name__}, not logits {wanted} ({CONTRACT})")
        if list(logits.shape) != wanted:
            raise NodeFailureError("failed", f"{who} gives {list(logits.shape)}, not logits {wanted} ({CONTRACT})")
        if not bool(logits.float().isfinite().all()):
            raise NodeFailureError("nan", f"{who} gives logits that are NaN or infinite ({CONTRACT})")
        return logits

    return predict


def as_set(split: Split, like: CondensedSet) -> CondensedSet:
    """All images of a split as a set."""
    return CondensedSet(
        images=None,
        labels=split.labels.cpu(),
        label_space="hard",
        preprocess=split.preprocess,
        recipe=like.recipe,
        storage=StorageBytes(images=0),
        indices=torch.arange(len(split)),
    )
