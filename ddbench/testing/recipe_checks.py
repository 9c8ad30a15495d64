"""Laws about the recipe that a set comes with: students can follow it, and it fits the labels and their order."""

from __future__ import annotations

import torch

from ddbench.core.api import CondensedSet
from ddbench.core.errors import NodeFailureError
from ddbench.core.plugin.protocols import Protocol
from ddbench.core.profiles import profile
from ddbench.core.specs import EvalSpec
from ddbench.models import names as arch_names
from ddbench.testing.subject import PROFILE, Bench, Place
from ddbench.work.evaluate.stage import Evaluation

FOLLOWING = "native"
"""The protocol whose students follow recipes."""


def recipes_can_be_followed(bench: Bench) -> None:
    """A student of the cell's network takes some updates by the recipe of a set, which fits the set's labels."""
    info = bench.info
    if info.kind != "distillation" and not info.own_labels:
        return  # no student follows a recipe of theirs
    place = bench.place(ipc=2)
    condensed, own = bench.condensed(ipc=2), bench.params(place).own_student
    recipe = condensed.recipe
    assert not own or "arch" in info.axes, (
        "Params.own_student says that sets are made for one network: take 'arch' among the axes"
    )
    centred, foreseen = condensed.label_space == "centred", bench.params(place).centred_labels
    if centred:
        assert recipe.loss == "mse", f"labels are centred, so no probabilities: loss {recipe.loss!r} cannot learn them"
    assert centred == foreseen, f"labels are {condensed.label_space!r}, but Params.centred_labels is {foreseen}"
    if recipe.order == "fixed" and (alone := _of_one_class(condensed, recipe.batch or len(condensed))):
        raise AssertionError(
            f"order is 'fixed', and batch {alone[0]} of {recipe.batch} images holds class {alone[1]} alone: let "
            "classes take turns in the set"
        )
    try:
        _student(bench, place, condensed)
    except NodeFailureError as error:
        raise AssertionError(f"no student follows its recipe: {error.status}: {error}") from error


def _of_one_class(condensed: CondensedSet, batch: int) -> tuple[int, int] | None:
    """The first of several images all of one class among the batches of a set in its order, and that class."""
    slots = condensed.labels if condensed.labels.ndim == 1 else condensed.aux.get("classes")
    if slots is None or len(set(slots.tolist())) < 2:
        return None
    batches = enumerate(part.tolist() for part in torch.split(slots, batch))
    return next(((i, one[0]) for i, one in batches if len(one) > 1 and len(set(one)) == 1), None)


def _student(bench: Bench, place: Place, condensed: CondensedSet) -> None:
    """Train a student by the recipe of a set for as long as tests do, and let it predict.

    Raises:
        NodeFailureError: If it cannot.
    """
    spec, known, ctx = place.spec, bench.subject.registries, bench.context(place)
    protocol = Protocol.find(FOLLOWING, known)
    student = arch_names.student(spec.arch, known.architectures)
    params = protocol.resolve(n=sum(ctx.per_class), data=ctx.dataset, student=student, profile=profile(PROFILE))
    evaluation = EvalSpec(
        set="", protocol=FOLLOWING, protocol_version=protocol.info.version, arch=spec.arch, master=spec.master,
        protocol_params=params.model_dump(mode="json"), r=spec.r, e=0,
    )  # fmt: skip
    Evaluation(
        evaluation, protocol.info, spec.data, condensed, ctx.device, known, recipe=condensed.recipe,
        recipe_images=len(condensed), initial=condensed.aux.get("initial"),
        folders={name: folder for name, folder in place.folders.items() if name == "whitening"},
    ).run()  # fmt: skip
