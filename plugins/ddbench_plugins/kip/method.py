"""KIP (Nguyen, Chen & Lee, "Dataset Meta-Learning from Kernel Ridge-Regression", ICLR 2021), algorithm 1.

    min_{X_s, y_s}  ½ mean_{b, c} ( y_b − K_bs (K_ss + λ I)⁻¹ y_s )²,   λ = 1e-6 tr(K_ss) / n

K: the neural tangent kernel of an infinitely wide ReLU network; y: onehot − 1/C. All in float64; λ is differentiated.

Deltas from the authors' code: the loss is a mean over classes, too; seeded generators; no augmentation of real images;
the set is the one after the last step.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ddbench import CondensedSet, Method, RunContext, State
from ddbench.blocks.adam import Adam
from ddbench.blocks.initial import class_slots, first_images
from ddbench.blocks.kernel_names import kernel
from ddbench.blocks.kernel_ridge import NETWORK, NETWORK_OF_LABELS, loss
from ddbench.blocks.kernels import cross, gram
from ddbench.blocks.moved import how_far
from ddbench.blocks.parametrize import Parametrisation
from ddbench.blocks.ridge import centred
from ddbench.blocks.sampling import ClassSampler
from ddbench_plugins.kip.params import KIPParams


class KIP(Method[KIPParams]):
    """Learns images that kernel ridge regression predicts real ones from."""

    def prepare(self, ctx: RunContext) -> None:
        """X_s and y_s: class-balanced real images with their centred classes."""
        p, classes = self.params, ctx.dataset.classes
        self.kernel = kernel(p.kernel)
        self.slots = class_slots(ctx)
        self.start = first_images(ctx, p.init)
        self.images, self.labels = self.start.double().clone(), centred(self.slots, classes)
        self.adam = Adam([self.images, self.labels] if p.learn_labels else [self.images], p.lr)
        self.sampler = ClassSampler([ctx.train.of_class(c) for c, n in enumerate(ctx.per_class) if n])

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """A class-balanced batch of real images, and one update."""
        drawn = self.sampler.draw(self.params.batch_real, ctx.generator)
        y_b = centred(ctx.train.labels[drawn.to(ctx.device)], ctx.dataset.classes)
        learned = [one.detach().requires_grad_() for one in self.adam.parameters]
        found = self.loss(
            learned[0], learned[-1] if self.params.learn_labels else self.labels, ctx.train.images(drawn), y_b
        )
        self.adam.step(torch.autograd.grad(found, learned))
        return {"loss": found.item()}

    def loss(self, x_s: Tensor, y_s: Tensor, x_b: Tensor, y_b: Tensor) -> Tensor:
        """½ mean (y_b − K_bs (K_ss + λ I)⁻¹ y_s)²."""
        return loss(cross(self.kernel, x_b, x_s), gram(self.kernel, x_s), y_s, y_b, self.params.ridge)

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their classes, or with the labels that they learned, which are centred."""
        images, slots = self.images.cpu(), self.slots.cpu()
        if not self.params.learn_labels:
            return CondensedSet.of_images(images, slots, ctx.train.preprocess, NETWORK)
        labels = self.labels.float().cpu()
        found = CondensedSet.of_images(images, labels, ctx.train.preprocess, NETWORK_OF_LABELS, classes=slots)
        return replace(found, label_space="centred")

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """How far the images moved."""
        return how_far(ctx, Parametrisation(), self.start, self.images.float())

    def state_dict(self) -> State:
        """Images, labels and Adam's moments."""
        return {"images": self.images, "labels": self.labels, "adam": self.adam.state()}

    def load_state_dict(self, state: State) -> None:
        """Restore images, labels and Adam's moments."""
        self.images.copy_(state["images"])
        self.labels.copy_(state["labels"])
        self.adam.load(state["adam"])
