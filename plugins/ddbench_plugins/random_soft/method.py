"""random_soft: what labels alone can do for a method that learns them, or takes them from its experts.

The images are ``random``'s, or those of the real set that it starts from (``kmeans_soft``: of ``kmeans``); weights of
that set stay. Their labels are softmax(mean over all experts of the logits at snapshot t), without temperature or
filter for experts that are right. t is chosen on val among equally spaced snapshots, the last one included; the grid is
the same at every budget. The experts' cost is charged as to the method whose control this is.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ddbench import CondensedSet, Method, Recipe, RunContext, State, StorageBytes
from ddbench.blocks.experts import Experts
from ddbench.blocks.initial import class_slots
from ddbench.blocks.sampling import first_of_each_class
from ddbench.blocks.teachers import pool_logits
from ddbench_plugins.random_soft.params import RandomSoftParams


class RandomSoft(Method[RandomSoftParams]):
    """Tries one snapshot per step."""

    def prepare(self, ctx: RunContext) -> None:
        """The images, and which snapshots to try."""
        self.experts = Experts(ctx.artifact("experts"))
        self.experts.check(self.params.pool, warn=ctx.warn)
        self.net = ctx.build_model(seed=0)
        self.start(ctx)
        count = min(self.params.snapshots, self.experts.last)
        self.tried = [round(self.experts.last * (i + 1) / count) for i in range(count)]
        self.best: float = -1.0
        self.labels = torch.zeros(len(self.indices), ctx.dataset.classes)
        self.chosen = 0

    def start(self, ctx: RunContext) -> None:
        """The images, as indices into train, their classes, and their weights.

        Raises:
            ValueError: If the set that it starts from does not say which real images it keeps, and of which classes.
        """
        found = ctx.initial
        self.weights = None if found is None else found.weights
        if found is None:
            self.indices, self.classes = first_of_each_class(ctx), class_slots(ctx).cpu()
            return
        if found.indices is None or found.label_space != "hard":
            raise ValueError("the set that it starts from is none of real images with hard labels")
        self.indices, self.classes = found.indices.cpu(), found.labels.cpu()

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """Label with the next snapshot; keep it if it is better on val (the earliest of equals stays)."""
        t = self.tried[ctx.step]
        total = sum(pool_logits(self.net, self.experts, ctx.train.images(self.indices), t), torch.tensor(0.0))
        labels = (total / len(self.experts)).softmax(1).cpu()
        score = ctx.score(self.labelled(ctx, labels)) if len(self.tried) > 1 else 0.0
        if score > self.best:
            self.best, self.labels, self.chosen = score, labels, t
        return {"val_top1": score}

    def done(self, ctx: RunContext) -> bool:
        """After all snapshots."""
        return ctx.step >= len(self.tried)

    def labelled(self, ctx: RunContext, labels: Tensor) -> CondensedSet:
        """The images with these probabilities."""
        size = StorageBytes(images=len(self.indices) * ctx.dataset.image_bytes, labels=labels.numel() * 4)
        return CondensedSet(
            None, labels, "probs", ctx.train.preprocess, Recipe(), size,
            indices=self.indices, weights=self.weights, aux={"classes": self.classes},
        )  # fmt: skip

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with the labels that were best."""
        return self.labelled(ctx, self.labels)

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """Which snapshot was best, and the experts' accuracy on train there [%]."""
        return {"snapshot": self.chosen, "snapshot_top1": float(self.experts.train_top1.mean(0)[self.chosen])}

    def state_dict(self) -> State:
        """The best labels so far."""
        return {"best": self.best, "labels": self.labels, "chosen": self.chosen}

    def load_state_dict(self, state: State) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.best, self.labels, self.chosen = state["best"], state["labels"], state["chosen"]
