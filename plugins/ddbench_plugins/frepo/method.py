"""FRePo (Zhou et al., "Dataset Distillation using Neural Feature Regression", NeurIPS 2022), algorithm 1.

    min_{X, Y}  E_{θ ~ pool}  mean_b ½ ‖ F_b F_sᵀ (F_s F_sᵀ + λ I)⁻¹ Y − y_b ‖²  +  mean_i [ −min(y_i¹ − y_i², 1/C) ]

F_s = f_θ(X), F_b = f_θ(x_b): the inputs of the last layer of a network that was trained on (X, Y) for 0 … K updates;
y_b: one-hot minus 1/C; y_i¹ and y_i²: the two largest numbers of a learned label; λ = 1e-6 · mean diagonal of F_s F_sᵀ.

Deltas from the authors' code: the cell's network in place of one whose width doubles, its norm after each convolution;
PyTorch's initialisation; the regression in float64; seeded generators; the set after the last step, not the best on
test.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ddbench import RunContext, State
from ddbench.blocks.regression import FeatureRegressionMethod
from ddbench_plugins.frepo.params import FRePoParams
from ddbench_plugins.frepo.pool import Pool


class FRePo(FeatureRegressionMethod[FRePoParams]):
    """Learns images and labels with a pool of networks."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from ``random``'s images, or what ``init`` says, with their centred one-hot labels."""
        self.learn(ctx)
        p = self.params
        self.pool = Pool(lambda i: self.build(ctx, i), p.pool, p.max_age, p.lr_net)

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One network, one real batch, one update of images and labels, one update of the network by them."""
        drawn = int(torch.randint(self.params.pool, (1,), generator=ctx.generator))
        loss = self.update(ctx, self.pool.members[drawn].net, *self.batch(ctx))
        self.pool.train(drawn, *self.seen(ctx))
        return {"loss": loss}

    def seen(self, ctx: RunContext) -> tuple[Tensor, Tensor]:
        """What a network is trained on: the set as it is now, or a random part of many images."""
        images, labels, most = self.form.decode(self.images), self.labels, self.params.batch_net
        if len(images) <= most:
            return images, labels
        index = torch.randperm(len(images), generator=ctx.generator)[:most].to(images.device)
        return images[index], labels[index]

    def state_dict(self) -> State:
        """Images, labels, LAMB's moments, and the pool."""
        return {**super().state_dict(), "pool": self.pool.state()}

    def load_state_dict(self, state: State) -> None:
        """Restore what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self.pool.load(state["pool"])
