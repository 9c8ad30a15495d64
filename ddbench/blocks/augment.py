"""DSA: differentiable Siamese augmentation (Zhao & Bilen, ICML 2021, sec. 3 and supplement), seeded and pure.

:func:`named` says what students see under the augmentation of a protocol or a recipe.

Randomness and transformation are apart: :meth:`DSA.draw` makes a :class:`Draw` on the CPU from a given generator, and
calling the augmenter applies it. The same draw on two batches is the Siamese transformation; a draw can be kept and
replayed. Symbols: n images, m rows of a draw (1 or n), [n, C, H, W] images in normalised space, where 0 is the mean
colour, so that all fills are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from ddbench.blocks.operations import OPERATIONS, WIDTH
from ddbench.core.sets import AugmentationName

Pick: TypeAlias = Literal["batch", "image", "all"]
"""One operation for the whole batch, one per image, or all operations in their order."""


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """What happens to each image, on the CPU.

    Attributes:
        apply: [m, n_ops] bool, which operations act on row j.
        u: [m, n_ops, WIDTH] float64 uniforms in [0, 1), the parameters of the operations.
    """

    apply: Tensor
    u: Tensor

    def __len__(self) -> int:
        """Rows: 1 when all images share their parameters, else the number of images."""
        return len(self.apply)

    @staticmethod
    def cat(draws: Sequence[Draw], counts: Sequence[int]) -> Draw:
        """One draw per class over a concatenated batch.

        Args:
            draws: Draws of one row each, of the same augmenter.
            counts: Images of each class in the batch; row i is repeated ``counts[i]`` times.
        """
        repeats = torch.tensor(counts)
        apply, u = torch.cat([draw.apply for draw in draws]), torch.cat([draw.u for draw in draws])
        return Draw(apply.repeat_interleave(repeats, dim=0), u.repeat_interleave(repeats, dim=0))


@dataclass(frozen=True, slots=True)
class DSA:
    """The augmenter; its fields say what it may do and how strongly.

    Attributes:
        ops: Operations in the order in which they act: color, crop, cutout, flip, scale, zoom, rotate, noise.
        crop: Largest shift as a share of the side; shifts are integers.
        cutout: Side of the blanked square as a share of the side.
        scale: Each axis is scaled by U(1/scale, scale), or U(low, high) if a pair; > 1 shrinks the image.
        zoom: Both axes are scaled by one factor in (1/zoom, zoom), whose logarithm is uniform, around a random place.
        rotate: Largest angle [degrees], both ways.
        brightness: Width of the interval of offsets around 0 [normalised units].
        saturation: Width of the interval of factors around 1.
        contrast: Half-width of the interval of factors around 1.
        noise: Standard deviation of added Gaussian noise [normalised units].

    Raises:
        ValueError: If an operation is unknown, or there is none.

    Notes:
        ``align_corners=True`` throughout: what the published numbers were made with (torch 1.2 behaved that way).
    """

    ops: tuple[str, ...] = ("color", "crop", "cutout", "flip", "scale", "rotate")
    crop: float = 0.125
    cutout: float = 0.5
    scale: float | tuple[float, float] = 1.2
    rotate: float = 15.0
    brightness: float = 1.0
    saturation: float = 2.0
    contrast: float = 0.5
    noise: float = 0.001
    zoom: float = 1.25

    def __post_init__(self) -> None:
        foreign = [op for op in self.ops if op not in OPERATIONS]
        if foreign or not self.ops:
            raise ValueError(f"unknown operations {foreign}; choose at least one of {', '.join(OPERATIONS)}")

    @classmethod
    def for_dataset(cls, flip: bool) -> DSA:
        """The default strategy; without ``flip`` where a mirrored image no longer shows its class (digits)."""
        return cls(ops=tuple(op for op in cls().ops if flip or op != "flip"))

    @classmethod
    def crop_and_flip(cls, flip: bool) -> DSA:
        """Shifts, and mirroring where ``flip`` says so; meant to be drawn with ``pick="all"``."""
        return cls(ops=("crop", "flip") if flip else ("crop",))

    def draw(self, generator: torch.Generator, n: int | None = None, *, pick: Pick = "batch") -> Draw:
        """Decide what happens to a batch.

        Args:
            generator: Of the CPU; the only source of randomness.
            n: None for Siamese mode, one row of parameters for however many images; else one row per image.
            pick: Which operations act.
        """
        m, n_ops = 1 if n is None else n, len(self.ops)
        if pick == "all":
            apply = torch.ones(m, n_ops, dtype=torch.bool)
        else:
            chosen = torch.randint(n_ops, (1 if pick == "batch" else m, 1), generator=generator)
            apply = (chosen == torch.arange(n_ops)).expand(m, n_ops)
        return Draw(apply, torch.rand(m, n_ops, WIDTH, generator=generator, dtype=torch.float64))

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        """Transform a batch as drawn; pure, and differentiable in ``images``.

        Args:
            images: [n, C, H, W], H = W, on any device.
            draw: Of this augmenter, with 1 or n rows.

        Returns:
            [n, C, H, W].

        Raises:
            ValueError: If the draw has neither 1 nor n rows, or belongs to other operations.
        """
        if len(draw) not in (1, len(images)) or draw.apply.shape[1] != len(self.ops):
            raise ValueError(
                f"draw {list(draw.apply.shape)} does not fit {len(images)} images, {len(self.ops)} operations"
            )
        code = (draw.apply * 2 ** torch.arange(len(self.ops))).sum(1)  # equal where rows undergo the same operations
        if bool((code == code[0]).all()):
            return self._run(images, draw.apply[0], draw.u)
        # Such rows are moved together, so that each operation runs once per group.
        order = code.argsort(stable=True)
        parts = [
            self._run(images[rows.to(images.device)], draw.apply[rows[0]], draw.u[rows])
            for rows in torch.split(order, torch.unique(code, return_counts=True)[1].tolist())
        ]
        return torch.cat(parts)[order.argsort().to(images.device)]

    def _run(self, images: Tensor, pattern: Tensor, u: Tensor) -> Tensor:
        """The operations of one pattern [n_ops] bool, in their order, with parameters from u [m, n_ops, WIDTH]."""
        for i, (op, active) in enumerate(zip(self.ops, pattern.tolist(), strict=True)):
            if active:
                images = OPERATIONS[op](self, images, u[:, i])
        return images


@dataclass(frozen=True, slots=True)
class Composed(DSA):
    """IDC's augmenter, of the same operations: flip, colour and cutout always act, and one of the others per batch.

    Kim et al., ICML 2022, authors' code; matching shares one draw, networks are trained with parameters per image.
    """

    def draw(self, generator: torch.Generator, n: int | None = None, *, pick: Pick = "batch") -> Draw:
        """Decide what happens to a batch; ``pick`` says how the one operation among the others is chosen."""
        others = [i for i, op in enumerate(self.ops) if op not in ALWAYS]
        everything = DSA.draw(self, generator, n, pick="all")
        if pick == "all" or len(others) < 2:
            return everything
        apply, rows = everything.apply.clone(), len(everything)
        chosen = torch.randint(len(others), (1 if pick == "batch" else rows, 1), generator=generator)
        apply[:, others] = (chosen == torch.arange(len(others))).expand(rows, len(others))
        return Draw(apply, everything.u)


ALWAYS = ("flip", "color", "cutout")
"""Operations that :class:`Composed` never leaves out."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """An augmenter, and how it is drawn for students: with parameters of its own for each image.

    Attributes:
        augmenter: What may happen; None: nothing does, and nothing is drawn.
        pick: Which of its operations act on a batch.
    """

    augmenter: DSA | None
    pick: Pick = "batch"

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw for a batch, and transform it.

        Args:
            images: [n, C, H, W], on any device.
            generator: Of the CPU; the only source of randomness.
        """
        if self.augmenter is None:
            return images
        return self.augmenter(images, self.augmenter.draw(generator, n=len(images), pick=self.pick))


def named(name: AugmentationName, flip: bool, *, cutout: bool = True) -> Augmentation:
    """What students of a protocol or a recipe see; each image has parameters of its own under all of these.

    Fills are zero, the mean colour. Lengths are shares of the side, colours in units of the normalised images.

    - ``none``: the images as they are.
    - ``dsa``: one of six operations for the whole batch (:class:`DSA` with its defaults).
    - ``crop_flip``: shifts by up to 1/8, and mirroring of every other image.
    - ``dc_mnist``: one of shift, scaling (0.8 … 1.2) and rotation (± 45°) for each image; DC (2021) on MNIST.
    - ``crop_noise``: shifts and noise; DC (2021) for ConvNets with batch norm.
    - ``one_for_all``: FRePo's (Zhou et al., NeurIPS 2022, evaluation): one operation for the whole batch among
      mirroring of every other image, colour (brightness ± 0.25, then saturation and contrast × 0.75 … 1.25), a zoom of
      both axes by 0.8 … 1.25 around a random place, rotation (± 15°), a shift by up to 1/8, and a blank square of 1/4.
      Chosen here: the order within colour, that the zoom's logarithm is uniform, that shifts are whole pixels.
    - ``flip_rotate``: that of BPTT (Deng & Russakovsky, NeurIPS 2022) and RaT-BPTT (Feng et al., ICLR 2024), authors'
      code: for the whole batch either mirroring of every other image or rotation (± 15°).
    - ``composed``: that of IDC, DANCE and NCFM (:class:`Composed`): mirroring and colour always, then one of shift,
      scaling and rotation for the whole batch, then a blank square.

    Args:
        name: One of these.
        flip: Whether a mirrored image still shows its class; without it nothing is mirrored.
        cutout: Whether ``composed`` blanks squares: it does not where CutMix mixes batches.

    Raises:
        KeyError: If the name is none of these.
    """
    mirrors = ("flip",) if flip else ()
    found: dict[str, Augmentation] = {
        "none": Augmentation(None),
        "dsa": Augmentation(DSA.for_dataset(flip)),
        "crop_flip": Augmentation(DSA.crop_and_flip(flip), "all"),
        "dc_mnist": Augmentation(DSA(ops=("crop", "scale", "rotate"), scale=(0.8, 1.2), rotate=45.0), "image"),
        "crop_noise": Augmentation(DSA(ops=("crop", "noise")), "all"),
        "one_for_all": Augmentation(
            DSA(
                ops=(*mirrors, "color", "zoom", "rotate", "crop", "cutout"), brightness=0.5, saturation=0.5,
                contrast=0.25, cutout=0.25,
            )
        ),
        "flip_rotate": Augmentation(DSA(ops=(*mirrors, "rotate"))),
        "composed": Augmentation(
            Composed(ops=(*mirrors, "color", "crop", "scale", "rotate", *(("cutout",) if cutout else ())))
        ),
    }  # fmt: skip
    return found[name]


@dataclass(frozen=True, slots=True)
class CutMix:
    """Pastes a box of another image of the batch, and mixes the classes by area (Yun et al., ICCV 2019; torchvision's).

    Attributes:
        share: How many of the batches are mixed, in [0, 1].
        classes: K.
        generator: Of the CPU; the only source of randomness.
    """

    share: float
    classes: int
    generator: torch.Generator

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            images: [b, C, H, W].
            labels: [b] int64, or [b, K] probabilities (or other targets that may be averaged).

        Returns:
            [b, C, H, W], and targets [b, K].
        """
        from torchvision.transforms.v2 import CutMix as Mixer  # 0.5 s, for those who mix

        soft = labels.ndim == 2
        coin, seed = torch.rand(2, generator=self.generator, dtype=torch.float64).tolist()
        if coin >= self.share:
            return images, labels if soft else functional.one_hot(labels, self.classes).to(images)
        # Of soft labels torchvision mixes the rows' numbers, as older versions take classes alone.
        classes, rows = (len(labels), torch.arange(len(labels)).to(labels.device)) if soft else (self.classes, labels)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(seed * 2**53))
            mixed, targets = Mixer(num_classes=classes)(images, rows)
        targets = targets.to(images)
        return mixed, targets @ labels.to(images) if soft else targets


def siamese(
    dsa: DSA,
    real: Tensor,
    real_counts: Sequence[int],
    syn: Tensor,
    syn_counts: Sequence[int],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """A(x, ω_c) and A(s, ω_c): a fresh draw for every class, the same for its real and its synthetic images.

    Args:
        dsa: A.
        real: [Σ real_counts, C, H, W], class-major.
        real_counts: Real images of each class.
        syn: [Σ syn_counts, C, H, W], class-major.
        syn_counts: Synthetic images of each class.
        generator: Of the CPU.
    """
    draws = [dsa.draw(generator) for _ in syn_counts]
    return dsa(real, Draw.cat(draws, real_counts)), dsa(syn, Draw.cat(draws, syn_counts))
