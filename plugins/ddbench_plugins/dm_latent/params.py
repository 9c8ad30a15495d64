"""Hyper-parameters of dm_latent. No torch."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench import ArtifactSpec, CellSpec, DatasetInfo, DistillationParams
from ddbench.blocks.generator_params import GeneratorParams
from ddbench.blocks.params import too_few_images


class DMLatentParams(DistillationParams):
    """Hyper-parameters of dm_latent; those of matching are DM's."""

    effort: ClassVar[tuple[str, ...]] = ("iterations", "batch_real", "generator_epochs")
    continues: ClassVar[bool] = True

    iterations: NonNegativeInt = Field(default=20_000, description="outer steps, each with a fresh random net")
    init: Literal["real", "noise"] = Field(
        default="real", description="first latents: those that the encoder gives random's images; N(0, 1)"
    )
    latents_per_image: PositiveInt = Field(
        default=1, description="latents, and thus images of the set, for each image of the budget"
    )
    lr_latent: float = Field(default=0.03, gt=0, description="learning rate of Adam on latents")
    batch_real: PositiveInt = Field(
        default=256, description="real images per class and step; all where a class has fewer"
    )
    augment: Literal["dsa", "none"] = Field(
        default="dsa", description="transformation that both sides of a class share in a step"
    )
    latent: PositiveInt = Field(default=16, description="numbers of a latent")
    hidden: PositiveInt = Field(default=64, description="width of the generator's hidden layers")
    layers: PositiveInt = Field(default=1, description="hidden layers of the generator")
    generator_epochs: PositiveInt = Field(default=50, description="passes of the generator over the training images")
    kl: float = Field(default=1.0, ge=0, description="weight of the divergence in the generator's training")

    @property
    def generator(self) -> GeneratorParams:
        """How the generator is trained."""
        return GeneratorParams(
            latent=self.latent, hidden=self.hidden, layers=self.layers, epochs=self.generator_epochs, kl=self.kl
        )

    def artifacts(self, cell: CellSpec) -> dict[str, ArtifactSpec]:
        """The repetition's generator, which is the same for all networks and budgets."""
        trained, seed = self.generator.model_dump(), {"master": cell.master, "r": cell.r}
        return {"generator": ArtifactSpec(kind="generator", data=cell.data, params=trained, seed=seed)}

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """Budgets that real images cannot initialise."""
        return None if self.init == "noise" else too_few_images(cell, data, self.latents_per_image)

    def stored_bytes(self, n: int, data: DatasetInfo) -> int | None:
        """Latents and the generator's decoder, as float32."""
        return 4 * (n * self.latents_per_image * self.latent + self.generator.decoder_parameters(data))

    def stored_pixels(self, n: int, data: DatasetInfo) -> int | None:
        """None: latents and weights are no pixels."""
        return None
