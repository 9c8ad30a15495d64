"""NCFM (Wang et al., "Dataset Distillation with Neural Characteristic Function", CVPR 2025), algorithm 1, without ψ.

    θ = l θ_first + (1 − l) θ_trained,  l ~ U(0, 1);   t ~ N(0, 1) for every class;   Φ(t) = mean exp(i ⟨t, f / ‖f‖⟩)
    for each class c:  one AdamW step of X̃ by  300 · mean_t √( α (A_x − A_s)² + β · 2 (A_x A_s − Re Φ_x Φ̄_s) )
    for each class c:  one AdamW step of X̃ by  CE(net_trained(A(s, ω)), c)

f = f_θ(A(·, ω)), A_x = |Φ_x|; A: colour, a shift and cutout, ω drawn per class and turn; s: what the canvases of the
class decode to. The rate is halved on plateaus of the sum of both. Every class has an AdamW of its own (authors' code
with a process for each class), or all share one.

Deltas from the paper and the authors' code: see README.md.
"""

from collections.abc import Mapping
from typing import Any

from ddbench import CondensedSet, Recipe, RunContext
from ddbench.blocks.paired import PairedMethod
from ddbench.blocks.turns import AdamWTurns, Plateau
from ddbench_plugins.ncfm.params import NCFMParams


class NCFM(PairedMethod[NCFMParams]):
    """Learns canvases of small images, in units of 0 … 1."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from ``random``'s images, shrunk."""
        p = self.params
        self.begin(ctx)
        self.images = AdamWTurns(self.start, self.stored, p.lr_img, p.decay, shared=p.shared_state)
        self.plateau = Plateau(0.5, p.patience)

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """Two turns of every class, under a network between the ends of a pair and under its trained end."""
        between, trained = self.pairs.draw(ctx.generator)
        self.images.value = self.images.value.clamp(0, 1)
        said = {"loss": float(self.turns(lambda syn: self.distances(ctx, between, syn)).mean())}
        if self.params.calibration:
            said["ce"] = float(self.turns(lambda syn: self.errors(ctx, trained, syn)).mean())
        self.images.lr = self.plateau.rate(self.images.lr, sum(said.values()))
        return said

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their fixed hard labels, and how the authors train students."""
        updates = self.params.student_passes * -(-sum(self.counts) // 128)
        recipe = Recipe(
            lr=1e-3, updates=updates, batch=128, optimiser="adamw", weight_decay=0.01, schedule="drops",
            drops=(0.2, 0.4, 0.6, 0.8), drop_factor=0.5, augmentation="composed", cutmix=0.5,
        )  # fmt: skip
        return self.condensed(ctx, recipe)

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """How far images moved, and the rate at the end."""
        return {**super().diagnostics(ctx), "lr_img_last": self.images.lr}

    def state_dict(self) -> dict[str, Any]:
        """Canvases with their moments and rate, and the plateau."""
        return super().state_dict() | {"plateau": self.plateau.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self.plateau.load(state["plateau"])
