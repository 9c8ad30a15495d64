"""DANCE (Zhang et al., "Dual-View Distribution Alignment for Dataset Condensation", IJCAI 2024), algorithm 1.

    θ = l θ_first + (1 − l) θ_trained,  l ~ U(0, 1)
    for each class c:  one SGD step of X̃ by  ‖ mean f_θ(A(x, ω)) − mean f_θ(A(s, ω)) ‖²         (within classes)
    for each class c:  one SGD step of X̃ by  CE(net_trained(A(s, ω)), c)                        (between classes)

s: what the canvases of the class decode to. A: colour, a shift and cutout, ω drawn per class and turn. Classes take
turns with one optimiser, so that its momentum moves the others too.

Deltas from the authors' code: see README.md.
"""

from collections.abc import Mapping

from ddbench import CondensedSet, Recipe, RunContext
from ddbench.blocks.paired import PairedMethod
from ddbench.blocks.turns import SGDTurns
from ddbench_plugins.dance.params import DANCEParams

PASSES = ((1, 3000), (10, 2000), (50, 1500), (200, 1000), (500, 500))
"""Passes of a student, for sets of at most so many decoded images per class; 300 of larger ones (authors' code)."""


class DANCE(PairedMethod[DANCEParams]):
    """Learns canvases of small images, in units of 0 … 1."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from ``random``'s images, shrunk."""
        p = self.params
        self.begin(ctx)
        self.images = SGDTurns(self.start, self.stored, p.lr_img, p.momentum, shared=p.shared_state)

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """Two turns of every class, under a network between the ends of a pair and under its trained end."""
        between, trained = self.pairs.draw(ctx.generator)
        self.images.value = self.images.value.clamp(0, 1)
        said = {"loss": float(self.turns(lambda syn: self.distances(ctx, between, syn)).mean())}
        if self.params.calibration:
            said["ce"] = float(self.turns(lambda syn: self.errors(ctx, trained, syn)).mean())
        return said

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their fixed hard labels, for students that are trained as IDC's."""
        per_class = max(self.counts)
        passes = next((n for most, n in PASSES if per_class <= most), 300)
        if ctx.dataset.classes >= 100:
            passes = passes * 2 // 3 // 100 * 100
        updates = passes * -(-sum(self.counts) // 64)
        recipe = Recipe(
            lr=0.01, updates=updates, batch=64, momentum=0.9, weight_decay=5e-4, schedule="drops", drops=(2 / 3, 5 / 6),
            drop_factor=0.2, augmentation="composed", cutmix=0.5,
        )  # fmt: skip
        return self.condensed(ctx, recipe)
