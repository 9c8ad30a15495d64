"""IDC (Kim et al., "Dataset Condensation via Efficient Synthetic-Data Parameterization", ICML 2022), algorithm 1.

    min_S  E_θ  Σ_c  D( ∇_θ ℓ_c(A(f(S), ω); θ), ∇_θ ℓ_c(A(T, ω); θ) )       θ: trained on real images T in between

f: multi-formation, every stored canvas decodes to factor² images of full size. D: sum of absolute (or squared)
differences of the gradients of convolutions. A: colour, a shift, and cutout, one draw ω for both sides of a class.
Classes take turns: each makes one SGD step of all canvases, so that momentum moves the others too.

Deltas from the authors' code: seeded generators instead of the clock; real images of a class are drawn afresh each
time, not in turn; sides must be multiples of the factor; noise is ``ddbench``'s; the set after the last step.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ddbench import RunContext, State
from ddbench.blocks.augment import Composed, CutMix
from ddbench.blocks.gradients import GradientMethod
from ddbench.blocks.matching import class_gradients, gradient_difference
from ddbench.blocks.training import Trainer, TrainingRecipe
from ddbench_plugins.idc.params import IDCParams


class IDC(GradientMethod[IDCParams]):
    """Learns canvases of small images, in units of 0 … 1."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from ``random``'s images, shrunk."""
        p, space = self.params, ctx.train.preprocess
        self.learn(ctx)
        self.stored = [n // self.form.times for n in self.counts]
        self.mean, self.std = (
            torch.tensor(values).view(1, -1, 1, 1).to(self.images.value) for values in (space.mean, space.std)
        )
        self.images.value = (self.images.value * self.std + self.mean).clamp(0, 1)
        self.start = self.reported
        self.augment = Composed(ops=("color", "crop", "cutout") if p.cutout else ("color", "crop"))
        self.trainer = self.network(ctx, 0)

    def network(self, ctx: RunContext, k: int) -> Trainer:
        """The k-th network, and how it is trained on real images."""
        p = self.params
        mild = Composed(ops=("color", "crop")) if p.cutmix else self.augment
        mix = CutMix(p.cutmix, ctx.dataset.classes, ctx.generator) if p.cutmix else None

        def augmented(index: Tensor) -> Tensor:
            return mild(ctx.train.images(index), mild.draw(ctx.generator, n=len(index)))

        net = ctx.build_model(seed=ctx.seed("net", str(k))).train()
        recipe = TrainingRecipe(p.outer_steps, p.lr_net, p.batch_net, momentum=p.momentum_net, weight_decay=p.decay_net)
        return Trainer(net, augmented, ctx.train.labels, recipe, order=ctx.generator, mix=mix)

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One matching of every class in turn; then, if the network has further ones, train it on real images."""
        k, t = divmod(ctx.step, self.params.outer_steps)
        if t == 0:
            self.trainer = self.network(ctx, k)
            self.images.value = self.images.value.clamp(0, 1)
        with self.clock("matching_s"):
            losses = [self.match(ctx, i) for i in range(len(self.counts))]
        if t + 1 < self.params.outer_steps:
            with self.clock("training_s"):
                for _ in range(-(-self.params.net_images // self.params.batch_net)):
                    self.trainer.update()
        return {"loss": float(torch.stack(losses).double().mean())}

    def match(self, ctx: RunContext, i: int) -> Tensor:
        """One SGD step of all canvases for the i-th class; returns its distance."""
        p, draws = self.params, ctx.generator
        real = ctx.train.images(self.sampler.real(i, p.batch_real, draws))
        canvases = self.images.value.detach().requires_grad_()
        syn = self.decoded(torch.split(canvases, self.stored)[i])
        if len(syn) > p.batch_syn:
            syn = syn[torch.randperm(len(syn), generator=draws)[: p.batch_syn].to(syn.device)]
        seen = self.augment(torch.cat([real, syn]), self.augment.draw(draws))
        labels = torch.split(self.labels, self.counts)[i][:1].expand(len(seen))
        n = len(real)
        (theirs,) = class_gradients(self.trainer.model, seen[:n], labels[:n], [n])
        (ours,) = class_gradients(self.trainer.model, seen[n:], labels[n:], [len(syn)], graph=True)
        distance = gradient_difference(theirs, ours, p.metric)
        self.images.step(torch.autograd.grad(distance, canvases)[0])
        return distance.detach()

    def decoded(self, canvases: Tensor) -> Tensor:
        """The images that canvases hold, normalised."""
        return self.form.decode((canvases - self.mean) / self.std)

    @property
    def reported(self) -> Tensor:
        """The canvases, normalised."""
        return (self.images.value - self.mean) / self.std

    def state_dict(self) -> State:
        """Canvases with their momentum, the network and its optimiser."""
        return {"images": self.images.state(), "trainer": self.trainer.state(), "seconds": dict(self.seconds)}

    def load_state_dict(self, state: State) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.images.load(state["images"])
        self.trainer.load(state["trainer"])
        self.seconds = dict(state["seconds"])
