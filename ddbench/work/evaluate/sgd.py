"""The SGD protocols: a fresh student trained on a condensed set as ``SGDParams`` say."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddbench.blocks.augment import Augmentation, CutMix, named
from ddbench.blocks.schedule import middle
from ddbench.blocks.training import Fetch, Trainer, TrainingRecipe
from ddbench.core.api import CondensedSet, EvalInputs, EvalProtocol, Predictor, Recipe
from ddbench.core.errors import NodeFailureError
from ddbench.core.keys import seed_of
from ddbench.work.evaluate.metrics import accuracy, logits_of, predict_all
from ddbench.work.evaluate.params import SGDParams

CHECK_EVERY = 25
"""Updates between looks at the loss: each look makes a GPU wait."""
GATHERED = 10_000
"""Real images up to which a set is gathered once instead of batch by batch."""


class SGDProtocol(EvalProtocol):
    """All registered protocols but kernel ones: what differs between them is in the params."""

    def fit(
        self, condensed: CondensedSet, make_model: Callable[[int], nn.Module], seed: int, artifacts: EvalInputs
    ) -> Predictor:
        """Train a student; see :class:`EvalProtocol`."""
        params: SGDParams = artifacts.params
        if artifacts.recipe is not None and artifacts.recipe.teacher is not None:
            raise NodeFailureError("failed", "the set's recipe asks for a teacher, which no protocol can use yet")
        recipe = artifacts.recipe or _recipe(params)
        wanted, updates = params.length(artifacts.recipe, artifacts.recipe_images or len(condensed))
        if artifacts.recipe is not None:
            artifacts.note("updates", updates)
        if wanted > updates:
            artifacts.note("recipe_updates", wanted)
        targets = _targets(condensed, params, artifacts)
        model = make_model(seed_of(seed, "model")).train()
        draws = torch.Generator().manual_seed(seed_of(seed, "augmentation"))
        shuffle = torch.Generator().manual_seed(seed_of(seed, "order"))
        trainer = Trainer(
            model,
            _fetch(condensed, artifacts, named(recipe.augmentation, params.flip, cutout=not recipe.cutmix), draws),
            targets,
            _training(recipe, params, artifacts, wanted, updates),
            order=shuffle if recipe.order == "shuffled" else None,
            weights=None if condensed.weights is None else condensed.weights.to(artifacts.device),
            mix=CutMix(recipe.cutmix, artifacts.dataset.classes, draws) if recipe.cutmix else None,
        )
        _train(trainer, updates, draws, artifacts)
        predictor = _predictor(model)
        classes = targets if targets.ndim == 1 else targets.argmax(1)
        artifacts.note("train_top1", _train_accuracy(predictor, condensed, classes, artifacts))
        return predictor


def _recipe(params: SGDParams) -> Recipe:
    """What a protocol says to all sets alike, as a recipe."""
    return Recipe(
        momentum=params.momentum, weight_decay=params.weight_decay, schedule=params.schedule,
        augmentation=params.augmentation,
    )  # fmt: skip


def _training(recipe: Recipe, params: SGDParams, inputs: EvalInputs, wanted: int, updates: int) -> TrainingRecipe:
    """The recipe as the trainer takes it; of one that is cut the warm-up is, too."""
    warmup = min(updates, -(-recipe.warmup * updates // wanted))
    return TrainingRecipe(
        updates, inputs.lr, recipe.batch or params.batch, recipe.schedule,
        params.drop_after if inputs.recipe is None else middle(updates, warmup),
        momentum=recipe.momentum, weight_decay=recipe.weight_decay, loss=recipe.loss, optimiser=recipe.optimiser,
        betas=recipe.betas, drops=recipe.drops, drop_factor=recipe.drop_factor, lr_end=recipe.lr_end, warmup=warmup,
        lrs=recipe.lrs or (),
    )  # fmt: skip


def _train(trainer: Trainer, updates: int, draws: torch.Generator, inputs: EvalInputs) -> None:
    """Run all updates, with val accuracy at U/4, U/2 and U, from where an interrupted training stopped."""
    curve: dict[str, float] = {}
    if (state := inputs.resume()) is not None:
        trainer.load(state["trainer"])
        draws.set_state(state["draws"])
        curve = dict(state["curve"])

    def snapshot() -> dict[str, Any]:
        return {"trainer": trainer.state(), "draws": draws.get_state(), "curve": curve}

    marks = {max(1, updates // 4): "U/4", max(1, updates // 2): "U/2", updates: "U"}
    while trainer.done < updates:
        loss = trainer.update()
        if (trainer.done % CHECK_EVERY == 0 or trainer.done == updates) and not math.isfinite(loss.item()):
            raise NodeFailureError("nan", f"the student's loss is {loss.item()} at update {trainer.done} of {updates}")
        if trainer.done in marks and inputs.val is not None:
            trainer.model.eval()
            curve[marks[trainer.done]] = accuracy(logits_of(_predictor(trainer.model), inputs.val), inputs.val.labels)
            trainer.model.train()
        inputs.tick(trainer.done, updates, snapshot)
    inputs.note("val_top1", curve)


def _predictor(model: nn.Module) -> Predictor:
    def predict(images: Tensor) -> Tensor:
        model.eval()
        with torch.no_grad():
            logits: Tensor = model(images)
        return logits

    return predict


def _fetch(condensed: CondensedSet, inputs: EvalInputs, augment: Augmentation, draws: torch.Generator) -> Fetch:
    """How a batch comes about: the set's images (or the real ones it points to), then the augmentation."""
    images = None if condensed.images is None else condensed.images.to(inputs.device)
    indices = condensed.indices
    if indices is not None and len(indices) <= GATHERED:
        images = inputs.train.images(indices)

    def fetch(index: Tensor) -> Tensor:
        if images is not None:
            batch = images[index.to(images.device)]
        else:
            assert indices is not None
            batch = inputs.train.images(indices[index])
        return augment(batch, draws)

    return fetch


def _targets(condensed: CondensedSet, params: SGDParams, inputs: EvalInputs) -> Tensor:
    """The labels in the form that the protocol learns."""
    labels = condensed.labels.to(inputs.device)
    space = condensed.label_space
    if space == "hard":
        mse = inputs.recipe is not None and inputs.recipe.loss == "mse"
        return functional.one_hot(labels, inputs.dataset.classes).float() if mse else labels
    if params.targets == "recipe" and inputs.recipe is not None and inputs.recipe.loss == "mse":
        return labels
    if params.targets == "hard" or (params.targets == "own" and space == "centred"):
        classes = labels.argmax(1)
        slots = condensed.aux.get("classes")
        if slots is None:
            return classes
        slots = slots.to(inputs.device)
        inputs.note("label_flip_percent", 100.0 * float((classes != slots).double().mean()))
        return slots
    if space == "centred":
        raise NodeFailureError(
            "failed", "centred labels are no probabilities: use native, or a protocol with hard labels"
        )
    return functional.softmax(labels, dim=1) if space == "logits" else labels


def _train_accuracy(predictor: Predictor, condensed: CondensedSet, targets: Tensor, inputs: EvalInputs) -> float:
    plain = _fetch(condensed, inputs, Augmentation(None), torch.Generator())
    return accuracy(predict_all(predictor, plain, len(condensed), inputs.device), targets)
