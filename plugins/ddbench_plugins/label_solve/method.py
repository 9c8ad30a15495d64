"""Label Solve (Nguyen, Chen & Lee, "Dataset Meta-Learning from Kernel Ridge-Regression", ICLR 2021), eq. 8.

    y_s* = ( K_ts (K_ss + λ I)⁻¹ )⁺ y_t,   λ = 1e-6 tr(K_ss) / n

s: ``random``'s images; t: all training images, whose labels y_t are onehot − 1/C. No image is learned, and nothing is
iterated.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ddbench import CondensedSet, Method, RunContext, State, StorageBytes
from ddbench.blocks.initial import class_slots
from ddbench.blocks.kernel_names import kernel
from ddbench.blocks.kernel_ridge import NETWORK_OF_LABELS, best_labels
from ddbench.blocks.kernels import cross, gram
from ddbench.blocks.ridge import centred
from ddbench.blocks.sampling import first_of_each_class
from ddbench_plugins.label_solve.params import LabelSolveParams


class LabelSolve(Method[LabelSolveParams]):
    """Labels real images, in one step."""

    def prepare(self, ctx: RunContext) -> None:
        """``random``'s images, with their classes as labels at first."""
        self.indices, self.classes = first_of_each_class(ctx), class_slots(ctx).cpu()
        self.labels = centred(self.classes, ctx.dataset.classes).float()

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """y_s*."""
        named, support = kernel(self.params.kernel), ctx.train.images(self.indices)

        def rows() -> Iterator[tuple[Tensor, Tensor]]:
            done = 0
            for index in torch.split(torch.arange(len(ctx.train)), self.params.rows):
                y_t = centred(ctx.train.labels[index.to(ctx.device)], ctx.dataset.classes)
                yield cross(named, ctx.train.images(index), support), y_t
                done += len(index)
                ctx.progress(done, len(ctx.train), "real images")

        self.labels = best_labels(gram(named, support), rows(), self.params.ridge).float().cpu()
        return {}

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with these labels, which are centred."""
        size = StorageBytes(images=len(self.indices) * ctx.dataset.image_bytes, labels=self.labels.numel() * 4)
        return CondensedSet(
            None, self.labels, "centred", ctx.train.preprocess, NETWORK_OF_LABELS, size,
            indices=self.indices, aux={"classes": self.classes},
        )  # fmt: skip

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """How many labels have another class on top than their image's [%]."""
        return {"label_flip_percent": 100 * float((self.labels.argmax(1) != self.classes).double().mean())}

    def state_dict(self) -> State:
        """The labels."""
        return {"labels": self.labels}

    def load_state_dict(self, state: State) -> None:
        """Restore the labels."""
        self.labels = state["labels"]
