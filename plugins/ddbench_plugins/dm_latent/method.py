"""dm_latent: distribution matching (Zhao & Bilen, WACV 2023) over the latents of a small frozen generator.

    min_z  E_{θ, ω}  Σ_c ‖ mean_i f_θ(A(x_i, ω)) − mean_j f_θ(A(G(z_j, c), ω)) ‖²

f_θ: features of a randomly initialised network; A: Siamese augmentation, ω drawn per class and step; G: the decoder of
a conditional auto-encoder (``ddbench.blocks.generators``). The idea of matching over a generator's latents is of Zhao &
Bilen, "Synthesizing Informative Training Samples with GAN" (2022); this is not their IT-GAN: see README.md.
"""

from collections.abc import Mapping

import torch

from ddbench import CondensedSet, Method, Recipe, RunContext, State, StorageBytes
from ddbench.blocks.adam import Adam
from ddbench.blocks.augment import DSA, siamese
from ddbench.blocks.features import embed, frozen, pass_size
from ddbench.blocks.functional import flatten
from ddbench.blocks.generators import Generator
from ddbench.blocks.initial import class_slots
from ddbench.blocks.matching import class_mean_feature_distance
from ddbench.blocks.sampling import ClassSampler, first_of_each_class
from ddbench_plugins.dm_latent.params import DMLatentParams


class DMLatent(Method[DMLatentParams]):
    """Learns latents whose images have the mean random features of their class."""

    def prepare(self, ctx: RunContext) -> None:
        """Open the generator, and start from the latents of ``random``'s images."""
        p, classes = self.params, [c for c, n in enumerate(ctx.per_class) if n]
        like = ctx.train.images(torch.tensor([0]))
        self.labels = class_slots(ctx, p.latents_per_image)
        self.counts = [ctx.per_class[c] * p.latents_per_image for c in classes]
        self.generator = Generator.open(ctx.artifact("generator"), p.generator, ctx.dataset, like)
        if p.init == "noise":
            self.latents = torch.randn(len(self.labels), p.latent, generator=ctx.generator).to(like)
        else:
            first = ctx.train.images(first_of_each_class(ctx, p.latents_per_image))
            self.latents = self.generator.encode(first, self.labels)[0].detach()
        self.start = self.latents.clone()
        self.optimiser = Adam([self.latents], p.lr_latent)
        ctx.warn(
            f"each image is a latent of {p.latent} numbers; the decoder that all share takes "
            f"{4 * p.generator.decoder_parameters(ctx.dataset):,} bytes"
        )
        self.sampler = ClassSampler([ctx.train.of_class(c) for c in classes])
        self.augment = DSA.for_dataset(ctx.dataset.flip) if p.augment == "dsa" else None
        self.chunk = pass_size(ctx.build_model(seed=0), like)

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One network, one batch of each class, one update of the latents."""
        batch, latents = self.params.batch_real, self.latents.detach().requires_grad_()
        syn = self.generator.decode(latents, self.labels)
        net = frozen(ctx.build_model(seed=ctx.seed("net", str(ctx.step))), syn)
        real, real_counts = ctx.train.images(self.sampler.draw(batch, ctx.generator)), self.sampler.counts(batch)
        if self.augment is not None:
            real, syn = siamese(self.augment, real, real_counts, syn, self.counts, ctx.generator)
        with torch.no_grad():
            target = embed(net, real, self.chunk)
        loss = class_mean_feature_distance(target, embed(net, syn, self.chunk), real_counts, self.counts)
        (gradient,) = torch.autograd.grad(loss, latents)
        self.optimiser.step([gradient])
        return {"loss": loss.item()}

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """What the latents decode to, with hard labels; latents and decoder are what it costs to keep."""
        latents, weights = self.latents.detach().clone(), flatten(list(self.generator.decoder.parameters()))
        images = self.generator.decode(latents, self.labels)
        size = StorageBytes(images=0, labels=len(self.labels), codes=4 * latents.numel(), decoder=4 * weights.numel())
        aux = {"codes": latents.float().cpu(), "decoder": weights.float().cpu()}
        return CondensedSet(
            images.detach().float().cpu(), self.labels.cpu(), "hard", ctx.train.preprocess, Recipe(), size, aux=aux
        )

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """How many latents of how many numbers, the decoder's bytes, and how far latents moved."""
        latents = self.latents
        decoder = sum(one.numel() for one in self.generator.decoder.parameters())
        return {
            "latents": float(len(latents)), "latent_numbers": float(latents.shape[1]), "decoder_bytes": 4.0 * decoder,
            "latent_change": float((latents - self.start).norm() / self.start.norm()),
        }  # fmt: skip

    def state_dict(self) -> State:
        """Latents and their moments."""
        return {"latents": self.latents, "adam": self.optimiser.state()}

    def load_state_dict(self, state: State) -> None:
        """Restore latents and moments."""
        self.latents.copy_(state["latents"])
        self.optimiser.load(state["adam"])
