"""Laws about a family of architectures: its names, what its networks return, and where their randomness comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddbench.core.api import ArchInfo
from ddbench.core.errors import DDBenchError
from ddbench.models import build_model, parse
from ddbench.testing import compare
from ddbench.testing.member import MEMBER_CHECKS, MemberBench

PLACES = ((1, 28, 10), (3, 32, 7))
"""Channels, side and classes that every network must take: neither 3 channels nor 10 classes go without saying."""
WIDTH = 8
IMAGES = 6


class ArchitectureBench(MemberBench[ArchInfo]):
    """Builds the networks of one family."""

    def names(self) -> Iterator[str]:
        """Every base with the default norm; the first one with all norms and variants."""
        first, norms = self.info.bases[0], self.info.norms
        yield from (f"{base}-w{WIDTH}-{norms[0]}" for base in self.info.bases)
        yield from (f"{first}-w{WIDTH}-{suffix}" for suffix in (*norms[1:], *self.info.variants))

    def build(self, name: str, place: tuple[int, int, int] = PLACES[1], seed: int = 0) -> nn.Module:
        """A network as cells get it."""
        channels, size, classes = place
        return build_model(name, channels=channels, classes=classes, size=size, seed=seed, families=self.registry)

    def networks(self) -> Iterator[tuple[str, tuple[int, int, int], Any]]:
        """Every name at every place, in eval mode."""
        for name in self.names():
            for place in PLACES:
                yield name, place, self.build(name, place).eval()


def images_of(place: tuple[int, int, int], n: int = IMAGES) -> Tensor:
    """Noise [n, C, H, W], always the same."""
    channels, size, _ = place
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(0))


def names_are_understood(bench: ArchitectureBench) -> None:
    """Every base with each norm and variant is a name, and its canonical form means the same."""
    info = bench.info
    for name in bench.names():
        try:
            parsed = parse(name, bench.registry)
        except DDBenchError as error:
            raise AssertionError(f"{name}: {error}") from error
        assert parsed.family == info.name, f"{name} belongs to {parsed.family}: two families share a base"
        assert parse(parsed.canonical, bench.registry) == parsed, f"{parsed.canonical} means something else than {name}"


def logits_have_a_column_for_each_class(bench: ArchitectureBench) -> None:
    """Images [n, C, H, W] give finite float32 logits [n, K], grey or RGB, whatever K."""
    for name, place, model in bench.networks():
        logits = model(images_of(place))
        wanted = (IMAGES, place[2])
        assert logits.shape == wanted, (
            f"{name} on {place[0]}×{place[1]}×{place[1]} gives {list(logits.shape)}, not {wanted}"
        )
        assert logits.dtype == torch.float32, f"{name} gives {logits.dtype}"
        assert bool(logits.isfinite().all()), f"{name} gives infinite values or NaN"


def embeddings_feed_the_last_layer(bench: ArchitectureBench) -> None:
    """`embed(x)` is [n, D], and the last linear layer makes the logits of it."""
    for name, place, model in bench.networks():
        images = images_of(place)
        features, logits = model.embed(images), model(images)
        assert features.ndim == 2 and len(features) == IMAGES, f"{name}.embed gives {list(features.shape)}, not [n, D]"
        heads = [m for m in model.modules() if isinstance(m, nn.Linear) and m.in_features == features.shape[1]]
        made = any(
            head.out_features == place[2] and torch.allclose(head(features), logits, atol=1e-4) for head in heads
        )
        assert made, f"no linear layer of {name} makes its logits of what embed returns"


def the_seed_decides_the_parameters(bench: ArchitectureBench) -> None:
    """One seed gives the same parameters whatever numpy's and Python's generators hold; another seed gives others."""
    for name in bench.names():
        with compare.global_seeds(1):
            first = bench.build(name).state_dict()
        with compare.global_seeds(2):
            second = bench.build(name).state_dict()
        odd = [key for key in first if not torch.equal(first[key], second[key])]
        assert not odd, f"{name}: {odd[0]} differs between two networks of one seed: draw from torch alone"
        other = bench.build(name, seed=1).state_dict()
        assert any(not torch.equal(first[key], other[key]) for key in first), f"{name}: all seeds give the same network"


def global_randomness_is_untouched(bench: ArchitectureBench) -> None:
    """Building, and predicting in eval mode, leave the global generators alone."""
    before = compare.global_randomness()
    for name, place, model in bench.networks():
        model(images_of(place))
        touched = compare.changed(before, compare.global_randomness())
        assert not touched, f"{name}, built and in eval mode, uses the global generator of {', '.join(touched)}"


def predictions_stand_alone(bench: ArchitectureBench) -> None:
    """In eval mode an image's logits are always the same, whichever images are beside it."""
    for name, place, model in bench.networks():
        images = images_of(place)
        together = model(images)
        assert torch.equal(together, model(images)), f"{name} in eval mode predicts twice, and differently"
        alone = torch.cat([model(image[None]) for image in images])
        assert torch.allclose(together, alone, atol=1e-4), f"{name} in eval mode predicts an image by those beside it"


def gradients_flow(bench: ArchitectureBench) -> None:
    """In train mode every parameter and the images get finite gradients, which can be differentiated once more."""
    for name in bench.names():
        model = bench.build(name).train()
        images = images_of(PLACES[1]).requires_grad_()
        loss = functional.cross_entropy(model(images), torch.arange(IMAGES) % PLACES[1][2])
        named = [(key, parameter) for key, parameter in model.named_parameters() if parameter.requires_grad]
        assert named, f"{name} has nothing to train"
        grads = torch.autograd.grad(loss, [p for _, p in named], create_graph=True, allow_unused=True)
        for (key, _), grad in zip(named, grads, strict=True):
            assert grad is not None, f"{name}: {key} does not take part in the logits"
            assert bool(grad.isfinite().all()), f"{name}: the gradient of {key} is not finite"
        (pixels,) = torch.autograd.grad(torch.stack([g.square().sum() for g in grads]).sum(), images)
        assert bool(pixels.isfinite().all()) and bool(pixels.any()), (
            f"{name}: matching gradients teaches its images nothing"
        )


def width_counts(bench: ArchitectureBench) -> None:
    """The suffix -wWIDTH makes a network larger."""
    for base in bench.info.bases:
        narrow, wide = (sum(p.numel() for p in bench.build(f"{base}-w{w}").parameters()) for w in (WIDTH, 2 * WIDTH))
        assert narrow < wide, f"{base}-w{2 * WIDTH} has {wide} parameters, {base}-w{WIDTH} has {narrow}"


ARCHITECTURE_CHECKS: tuple[Any, ...] = (
    *MEMBER_CHECKS,
    names_are_understood,
    logits_have_a_column_for_each_class,
    embeddings_feed_the_last_layer,
    the_seed_decides_the_parameters,
    global_randomness_is_untouched,
    predictions_stand_alone,
    gradients_flow,
    width_counts,
)
