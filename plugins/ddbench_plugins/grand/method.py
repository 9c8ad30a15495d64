"""GraNd (Paul, Ganguli & Dziugaite, Deep Learning on a Data Diet, NeurIPS 2021, definition 2.1).

An image's score is the length of the gradient of its loss ℓ, the cross entropy, in the parameters of a network after k
epochs, averaged over networks θ before images are ranked:

    s(x, y) = E_θ ‖ ∇_θ ℓ(z(x; θ_k), y) ‖₂,

the larger, the harder. With ``gradient: last_layer`` it is that of the last linear layer alone, which takes h(x) to z:
‖p − onehot(y)‖ · √(‖h‖² + 1). Deltas: networks, epochs and rates are those of the ConvNets, in eval mode.

Symbols: N images, n of a chunk.
"""

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from ddbench import RunContext, Selection, Selector
from ddbench.blocks.dynamics import Dynamics, errors
from ddbench.blocks.features import Embedder, chunk_size
from ddbench.blocks.ranking import ranked
from ddbench_plugins.grand.params import GraNdParams

CHUNK_BYTES = 2**25
"""Of the gradients of a chunk of images."""


class GraNd(Selector[GraNdParams]):
    """Keeps images by how far they would move young networks."""

    def select(self, ctx: RunContext) -> Selection:
        """Score every image by all networks, then rank."""
        lengths = full_lengths if self.params.gradient == "all" else last_layer_lengths
        total = torch.zeros(len(ctx.train), dtype=torch.float64)
        for done, net in enumerate(self._networks(ctx)):
            size = chunk(net, ctx.train.images(torch.tensor([0])), self.params.gradient)
            for index in torch.split(torch.arange(len(ctx.train)), size):
                labels = ctx.train.labels[index.to(ctx.train.labels.device)]
                total[index] += lengths(net, ctx.train.images(index), labels).cpu()
            ctx.progress(done + 1, self.params.nets, "networks")
        ctx.warn(self.params.said)
        return ranked(ctx, total / self.params.nets, self.params)

    def _networks(self, ctx: RunContext) -> Iterator[nn.Module]:
        epoch = self.params.looked_at
        for number in range(self.params.nets):
            if epoch:
                yield Dynamics.of(ctx, number).net(ctx, epoch)
            else:
                yield ctx.build_model(seed=ctx.seed("dynamics", str(number))).eval()


def full_lengths(net: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Length of the gradient of each image's loss in all parameters: [n] float64.

    Args:
        net: In eval mode.
        images: [n, C, H, W].
        labels: [n] int64.
    """

    def loss(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(net, parameters, (image[None],)), label[None])

    parameters = {name: value.detach() for name, value in net.named_parameters()}
    gradients: dict[str, Tensor] = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, images, labels)
    squares = torch.stack([g.flatten(1).norm(dim=1).double().square() for g in gradients.values()])
    return squares.sum(0).sqrt()


@torch.no_grad()
def last_layer_lengths(net: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The same in the weight and bias of the last linear layer alone, in closed form."""
    h = cast(Embedder, net).embed(images).double()
    squares = errors(net(images), labels).square().sum(1) * (h.square().sum(1) + 1)
    return squares.sqrt()


def chunk(net: nn.Module, image: Tensor, gradient: str) -> int:
    """Images whose activations fit the device, and whose gradients take no more than :data:`CHUNK_BYTES`."""
    fits = chunk_size(net, image)
    if gradient == "last_layer":
        return fits
    return max(1, min(fits, CHUNK_BYTES // sum(parameter.nbytes for parameter in net.parameters())))
