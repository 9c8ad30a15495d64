"""A method for tests whose sets are made for one network in one initial state: ordered batches, a rate for each update."""

from __future__ import annotations

from pathlib import Path

from ddbench.core.plugin.loader import Registries, load

RATES = (0.3, 0.1, 0.05, 0.2, 0.1)

PLUGIN = f'''
from pydantic import Field
from ddbench import CondensedSet, DistillationParams, Method, MethodInfo, Recipe, hookimpl
from ddbench.blocks.params import too_few_images

class OrderedParams(DistillationParams):
    iterations: int = Field(default=2, description="outer steps")
    norm: str | None = Field(default=None, description="of students")

    @property
    def own_student(self):
        return OWN

    def unsupported(self, cell, data):
        return too_few_images(cell, data)

    def stored_bytes(self, n, data):
        return None

class Ordered(Method):
    """Noisy real images, one of each class in turn, to be trained on from a network that it keeps."""

    def prepare(self, ctx):
        import torch
        places = [(i, c) for c, n in enumerate(ctx.per_class) for i in range(n)]
        chosen = torch.stack([ctx.train.of_class(c)[i] for i, c in sorted(places)])
        self.images, self.labels = ctx.train.images(chosen), ctx.train.labels[chosen]
        net = ctx.build_model(seed=ctx.seed("own"))
        self.initial = torch.cat([one.detach().flatten() for one in net.parameters()])

    def step(self, ctx):
        import torch
        self.images = self.images + 0.1 * torch.randn(self.images.shape, generator=ctx.generator)
        return {{"norm": float(self.images.norm())}}

    def finalise(self, ctx):
        recipe = Recipe(
            lrs={RATES}, batch=ctx.dataset.classes, order="fixed", augmentation="none", initial=True,
            norm=self.params.norm,
        )
        return CondensedSet.of_images(self.images, self.labels, ctx.train.preprocess, recipe, initial=self.initial)

    def state_dict(self):
        return {{"images": self.images}}

    def load_state_dict(self, state):
        self.images = state["images"]

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo(
        name="ordered", kind="distillation", target="MODULE:Ordered", params="MODULE:OrderedParams",
        summary="for tests"))
'''


def plugin(folder: Path, *, name: str = "orderedplugin", own: bool = True, **changed: tuple[str, str]) -> Path:
    """The method ``ordered`` as a one-file plugin; ``changed``: pieces of its text, and what stands there instead."""
    text = PLUGIN.replace("MODULE", name).replace("OWN", str(own))
    for piece, other in changed.values():
        assert piece in text
        text = text.replace(piece, other)
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def registries(folder: Path) -> Registries:
    """With that plugin."""
    return load([plugin(folder)])
