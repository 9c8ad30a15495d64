"""DD (Wang, Zhu, Torralba & Efros, "Dataset Distillation", 2018), algorithm 1 with several steps and passes (sec. 3.4).

    min_{X, η}  E_θ0  ℓ(x, y; θ_T)        θ_{t+1} = θ_t − η_t ∇ ℓ(X_{t mod K}, Y; θ_t)

X_0 … X_{K−1}: ordered batches of one image a class; η: a step size for each of T = K E steps, the softplus of what is
learned; θ_0: fresh for every outer step, or one fixed network. The set is images, their order and the step sizes.

Deltas from the authors' code: the real batch is drawn anew for every outer step; networks and their initialisation are
ddbench's; classes may have different numbers of images; seeded generators.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddbench import CondensedSet, Recipe, RunContext, State
from ddbench.blocks.adam import Adam
from ddbench.blocks.bptt import BPTTMethod
from ddbench.blocks.functional import flatten
from ddbench.blocks.initial import first_images
from ddbench.blocks.inner import SGDInner
from ddbench_plugins.dd.params import DDParams


class DD(BPTTMethod[DDParams]):
    """Learns ordered batches, and the size of every step on them."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from noise, or what ``init`` says; all steps have one size."""
        p = self.params
        self.open(ctx)
        order = one_of_each(ctx.per_class).to(ctx.device)
        self.start, self.labels = first_images(ctx, p.init)[order], self.classes[order]
        self.size = sum(n > 0 for n in ctx.per_class)
        self.batches = list(torch.split(torch.arange(len(order)), self.size)) * p.epochs
        self.images = self.start.clone()
        first = torch.full((len(self.batches),), p.lr_init, device=ctx.device)
        self.raw = first.expm1().log()
        self.outer = Adam([self.images, self.raw], p.lr_img, betas=(0.5, 0.999))

    @property
    def rates(self) -> Tensor:
        """η, [T]."""
        return functional.softplus(self.raw)

    def students(self, ctx: RunContext) -> list[nn.Module]:
        """Fresh networks, or the one that all start from."""
        return [self.fixed(ctx)] if self.params.fixed_init else super().students(ctx)

    def fixed(self, ctx: RunContext) -> nn.Module:
        """The one network of ``fixed_init``."""
        return ctx.build_model(seed=ctx.seed("net", "fixed"))

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """Train students in the order of the batches; move images and step sizes by how they do on a real batch."""
        p, inner = self.params, SGDInner(self.rates)
        found = self.train(ctx, self.images, self.labels, inner, self.mixed(ctx), lambda: self.batches)
        self.outer.lr = p.lr_img * 0.5 ** (ctx.step * (p.halvings + 1) // p.iterations)
        self.outer.step([found.grad_images, found.grad_lr * self.raw.sigmoid()])
        return {"loss": float(found.loss), "lr": float(self.rates.mean())}

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images batch by batch; the order, the step sizes, and the fixed network's state travel with them."""
        recipe = Recipe(
            lrs=tuple(self.rates.tolist()), updates=len(self.batches), batch=self.size, order="fixed",
            schedule="constant", momentum=0.0, weight_decay=0.0, augmentation="none", initial=self.params.fixed_init,
        )  # fmt: skip
        initial = flatten(list(self.fixed(ctx).parameters())).cpu() if self.params.fixed_init else None
        space = ctx.train.preprocess
        return CondensedSet.of_images(self.images.cpu(), self.labels.cpu(), space, recipe, initial=initial)

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """How far the images moved, and the step sizes."""
        rates = {"lr_first": self.params.lr_init, "lr_low": float(self.rates.min()), "lr_high": float(self.rates.max())}
        return {**self.moved(ctx, self.start, self.images), **rates}

    def state_dict(self) -> State:
        """Images, step sizes, and their moments."""
        return {"images": self.images, "raw": self.raw, "outer": self.outer.state()}

    def load_state_dict(self, state: State) -> None:
        """Restore them."""
        self.images.copy_(state["images"])
        self.raw.copy_(state["raw"])
        self.outer.load(state["outer"])


def one_of_each(counts: tuple[int, ...]) -> Tensor:
    """Class-major positions in the order of batches: the first image of every class, then the second ones, and so on.

    Args:
        counts: Images of each class.
    """
    return torch.cat([torch.arange(n) for n in counts]).argsort(stable=True)
