"""LD (Bohdal et al., "Flexible Dataset Distillation: Learn Labels Instead of Images", 2020), algorithms 1 and 2.

    min_Y  CE(real batch; θ′)       second order: θ′ = θ − η ∇_θ ℓ(X, Y; θ), of a network θ that goes on learning
                                    ridge: the network's features f_θ under the linear layer a · W,
                                           W = .99 W₀ + .01 Φᵀ (Φ Φᵀ + λ I)⁻¹ Y,   Φ = [f_θ(X), 1]

X: fixed real images; Y: probabilities; ℓ: cross entropy to them. Both are minibatches of the set. θ learns by Adam from
(X, Y), and starts anew when the error on real batches no longer falls.

Deltas from the authors' code: the cell's network in place of LeNet and AlexNet; batches of real images are drawn anew
each step, not by epochs; the set after the last step unless ``selection`` says otherwise, chosen among five states by
one val student, theirs every fifth epoch; seeded generators.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from ddbench import CondensedSet, Method, Recipe, RunContext, State, StorageBytes
from ddbench.blocks.adam import Adam
from ddbench.blocks.features import chunk_size, embed
from ddbench.blocks.initial import class_slots
from ddbench.blocks.ridge import ridge_weights
from ddbench.blocks.sampling import first_of_each_class
from ddbench_plugins.ld.params import LDParams
from ddbench_plugins.ld.plateau import Plateau


class LD(Method[LDParams]):
    """Learns labels of ``random``'s images."""

    def prepare(self, ctx: RunContext) -> None:
        """The images, labels that say nothing, and the first network."""
        p, classes = self.params, ctx.dataset.classes
        self.indices, self.classes = first_of_each_class(ctx), class_slots(ctx).cpu()
        self.images = ctx.train.images(self.indices)
        n = len(self.images)
        self.labels = torch.full((n, classes), 1 / classes, dtype=self.images.dtype, device=ctx.device)
        self.adam = Adam([self.labels], p.lr_labels)
        self.plateau = Plateau(p.gap(n, classes))
        self.nets = 0
        self.begin(ctx)
        self.chunk = chunk_size(self.net, self.images[:1])

    def begin(self, ctx: RunContext) -> None:
        """A fresh network, with its optimiser; for ridge W = 0 and a = 1."""
        p = self.params
        self.net = ctx.build_model(seed=ctx.seed("net", str(self.nets)))
        self.nets += 1
        self.net_adam = Adam(list(self.net.parameters()), p.lr_net)
        self.scale = torch.ones(()).to(self.images)
        self.scale_adam = Adam([self.scale], p.lr_scale)
        with torch.no_grad():
            width = embed(self.net, self.images[:1], 1).shape[1]
        self.layer = torch.zeros(width + 1, self.labels.shape[1]).to(self.images)

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """A minibatch of the set and one of real images, an update of the labels and one of the network."""
        p = self.params
        chosen = torch.randperm(len(self.images), generator=ctx.generator)[: p.batch(len(self.images))]
        index = torch.randperm(len(ctx.train), generator=ctx.generator)[: p.batch_real]
        real, classes = ctx.train.images(index), ctx.train.labels[index.to(ctx.train.labels.device)]
        one = self.second_order if p.variant == "second_order" else self.ridge
        loss, error = one(chosen.to(self.images.device), real, classes)
        if self.plateau.gives_up(error):
            self.begin(ctx)
        return {"loss": loss, "error": error}

    def second_order(self, chosen: Tensor, real: Tensor, classes: Tensor) -> tuple[float, float]:
        """The labels' gradient through one SGD step; then the network's own step, by the labels of before."""
        p, asked = self.params, self.labels[chosen].requires_grad_()
        names, parameters = zip(*self.net.named_parameters(), strict=True)
        inner = soft_cross_entropy(self.net(self.images[chosen]), asked)
        gradient = torch.autograd.grad(inner, parameters, create_graph=True)
        moved = [(w - p.lr_inner * g).detach().requires_grad_() for w, g in zip(parameters, gradient, strict=True)]
        loss, error, v = self.outer(dict(zip(names, moved, strict=True)), real, classes)
        along = [-p.lr_inner * one for one in v]  # θ' = θ − η g(Y): ∂CE/∂Y = −η ⟨v, ∂g/∂Y⟩ with v = ∂CE/∂θ'
        self.learn(chosen, torch.autograd.grad(gradient, asked, along)[0])
        self.net_adam.step([one.detach() for one in gradient])
        return loss, error

    def outer(self, weights: dict[str, Tensor], real: Tensor, classes: Tensor) -> tuple[float, float, list[Tensor]]:
        """Cross entropy and error on real images under other weights, and the loss's gradient in these, in parts."""
        learned = list(weights.values())
        found = [torch.zeros_like(one) for one in learned]
        loss, wrong = 0.0, 0
        for images, y in zip(torch.split(real, self.chunk), torch.split(classes, self.chunk), strict=True):
            logits: Tensor = functional_call(self.net, weights, (images,))
            part = functional.cross_entropy(logits, y, reduction="sum") / len(real)
            found = [a + b for a, b in zip(found, torch.autograd.grad(part, learned), strict=True)]
            loss, wrong = loss + part.item(), wrong + int((logits.argmax(1) != y).sum())
        return loss, wrong / len(real), found

    def ridge(self, chosen: Tensor, real: Tensor, classes: Tensor) -> tuple[float, float]:
        """The labels' gradient through W; then a step of features and scale by the new labels, W being of the old."""
        features, old = with_one(embed(self.net, self.images[chosen], self.chunk)), self.labels[chosen]
        asked = old.clone().requires_grad_()
        with torch.no_grad():
            seen = with_one(embed(self.net, real, self.chunk))
        logits = self.scale * seen @ self.mixed(features.detach(), asked)
        loss = functional.cross_entropy(logits, classes)
        self.learn(chosen, torch.autograd.grad(loss, asked)[0])

        scale, layer = self.scale.clone().requires_grad_(), self.mixed(features, old)
        of_features = soft_cross_entropy(scale * features @ layer, self.labels[chosen])
        *gradient, of_scale = torch.autograd.grad(of_features, [*self.net.parameters(), scale], allow_unused=True)
        self.net_adam.step(gradient)
        self.scale_adam.step([of_scale])
        self.layer = layer.detach()
        return loss.item(), float((logits.argmax(1) != classes).double().mean())

    def mixed(self, features: Tensor, labels: Tensor) -> Tensor:
        """W: mostly that of before, which is a constant, and a little of what fits this batch."""
        return (1 - self.params.mix) * self.layer + self.params.mix * ridge_weights(features, labels, self.params.ridge)

    def learn(self, chosen: Tensor, gradient: Tensor) -> None:
        """One Adam step of all labels, those of other images with gradient 0; then back onto the simplex."""
        self.adam.step([torch.zeros_like(self.labels).index_copy(0, chosen, gradient)])
        self.labels.copy_(on_simplex(self.labels))

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their labels, and for how long to train on them."""
        labels = self.labels.detach().float().cpu().clone()
        recipe = Recipe(
            lr=self.params.lr_net, updates=self.plateau.updates(), batch=self.params.batch(len(labels)),
            weight_decay=0.0, augmentation="none", optimiser="adam", schedule="constant",
        )  # fmt: skip
        images, rates = len(labels) * ctx.dataset.image_bytes, recipe.stored_rates
        size = StorageBytes(images=images, labels=4 * labels.numel(), lrs=4 * rates)
        return CondensedSet(
            None, labels, "probs", ctx.train.preprocess, recipe, size,
            indices=self.indices.clone(), aux={"classes": self.classes.clone()},
        )  # fmt: skip

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """Networks so far, updates of a student, and how sure labels are of the class of their image [%]."""
        own = self.labels.cpu().gather(1, self.classes[:, None])
        return {"nets": self.nets, "student_updates": self.plateau.updates(), "own_class": 100 * float(own.mean())}

    def state_dict(self) -> State:
        """Labels, network, linear layer, their optimisers, and what the errors were."""
        return {
            "labels": self.labels, "adam": self.adam.state(), "nets": self.nets, "plateau": self.plateau.state(),
            "net": dict(self.net.state_dict()), "net_adam": self.net_adam.state(), "layer": self.layer,
            "scale": self.scale, "scale_adam": self.scale_adam.state(),
        }  # fmt: skip

    def load_state_dict(self, state: State) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.nets = state["nets"]
        self.net.load_state_dict(state["net"])
        self.plateau.load(state["plateau"])
        for name in ("labels", "layer", "scale"):
            getattr(self, name).copy_(state[name])
        for adam, name in ((self.adam, "adam"), (self.net_adam, "net_adam"), (self.scale_adam, "scale_adam")):
            adam.load(state[name])


def soft_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """−mean_i Σ_c y_ic log p_ic, of logits and probabilities [n, K]."""
    return -(labels * logits.log_softmax(1)).sum(1).mean()


def with_one(features: Tensor) -> Tensor:
    """[n, D] → [n, D + 1]: a last feature that is 1."""
    return functional.pad(features, (0, 1), value=1.0)


def on_simplex(labels: Tensor) -> Tensor:
    """[n, K] → clamped to [0, 1], each row divided by its sum; a row of which nothing is left says nothing."""
    kept = labels.clamp(0, 1)
    total = kept.sum(1, keepdim=True)
    return torch.where(total > 0, kept / total, torch.full_like(kept, 1 / kept.shape[1]))
