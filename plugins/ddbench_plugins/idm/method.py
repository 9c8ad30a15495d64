"""IDM (Zhao, Li, Qin, Yu, "Improved Distribution Matching for Dataset Condensation", CVPR 2023), algorithm 1.

    for each class c:  L_c = ‖ mean f(A(x, ω)) − mean f(A(s, ω)) ‖² + λ a CE(net(A(s, ω)), c),   one SGD step of X̃

s: what the canvases of the class decode to. net: one of a queue of networks that are trained on real images; a: its
accuracy there [%]. A: Siamese augmentation, ω drawn per class and step. Classes take turns with one optimiser, so that
its momentum moves the others too.

Deltas from the authors' code: see README.md.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ddbench import CondensedSet, Recipe, RunContext
from ddbench.blocks.augment import DSA
from ddbench.blocks.distribution_matching import (
    DistributionMethod,
    class_errors,
    features_and_logits,
    looked_through,
)
from ddbench.blocks.features import embed
from ddbench.blocks.queue import FIRST, Member, Queue
from ddbench.blocks.training import TrainingRecipe
from ddbench.blocks.turns import SGDTurns
from ddbench_plugins.idm.params import IDMParams


class IDM(DistributionMethod[IDMParams]):
    """Learns canvases of small images, in normalised units."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from ``random``'s images, shrunk, and from a few fresh networks."""
        p = self.params
        self.learn(ctx, shrink="bilinear", pixels=False)
        self.images = SGDTurns(self.start, self.stored, p.lr_img, p.momentum, shared=p.shared_state)
        self.augment = DSA.for_dataset(ctx.dataset.flip) if p.augment == "dsa" else None
        recipe = TrainingRecipe(0, p.lr_net, p.batch_net, momentum=p.momentum_net, weight_decay=p.decay_net)
        self.queue = Queue(ctx, p.networks, recipe)
        for _ in range(min(FIRST, p.networks)):
            self.queue.push()

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """A turn of every class under one network of the queue; then two of its networks learn from real images."""
        p = self.params
        if ctx.step % p.push_every == 0:
            self.queue.push()
        chosen = self.queue.draw()
        losses = self.turns(lambda syn: self.losses(ctx, chosen, syn))
        self.queue.train(p.trained, p.net_steps)
        return {"loss": float(losses.mean())}

    def losses(self, ctx: RunContext, chosen: Member, syn: Tensor) -> Tensor:
        """L_c of every class, [K]."""
        weight = self.params.ce_weight * chosen.percent
        real, real_counts, syn, counts = self.batch(ctx, syn)
        with looked_through(chosen.model) as net:
            target = self.embedded(net, real)
            if not weight:
                return self.discrepancy(target, embed(net, syn, self.chunk), real_counts, counts, ctx.generator)
            features, logits = features_and_logits(net, syn, self.chunk)
        distance = self.discrepancy(target, features, real_counts, counts, ctx.generator)
        return distance + weight * class_errors(logits, self.classes(counts), counts)

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their fixed hard labels; students are trained as DC's evaluation does."""
        return self.condensed(ctx, Recipe())

    def state_dict(self) -> dict[str, Any]:
        """Canvases with their momentum, and the queue."""
        return super().state_dict() | {"queue": self.queue.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self.queue.load(state["queue"])
