"""The student grid: published sizes, every image size and channel number, and networks that learn."""

from __future__ import annotations

import pytest
import torch

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed
from ddbench.models import build_model, parse

NAMES = ("mlp", "lenet", "alexnet", "vgg11", "resnet18", "resnet18-ap")


def parameters(name, channels=3, classes=10, size=32):
    return sum(p.numel() for p in build_model(name, channels=channels, classes=classes, size=size, seed=0).parameters())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("mlp", 3072 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10),
        ("lenet", 62_006),  # LeNet-5 on 32 × 32 × 3, as widely published
        ("vgg11-bn", 9_231_114),  # VGG-11 with batch norm and one linear layer on CIFAR-10
        ("resnet18-bn", 11_173_962),  # ResNet-18 with the CIFAR stem
    ],
)
def test_published_sizes_on_cifar10(name, count):
    assert parameters(name) == count


def test_alexnet_has_its_five_convolutions_and_one_linear_layer():
    net = build_model("alexnet", channels=3, classes=10, size=32, seed=0)
    shapes = [tuple(p.shape) for p in net.parameters() if p.ndim > 1]
    assert shapes == [(128, 3, 5, 5), (192, 128, 5, 5), (256, 192, 3, 3), (192, 256, 3, 3), (192, 192, 3, 3),
                      (10, 192 * 4 * 4)]  # fmt: skip


def test_instance_norm_has_as_many_parameters_as_batch_norm():
    assert parameters("resnet18") == parameters("resnet18-bn")
    assert parameters("vgg11") == parameters("vgg11-bn")


def test_pooling_instead_of_strides_keeps_the_last_map():
    net = build_model("resnet18-ap", channels=3, classes=10, size=32, seed=0)
    assert net.classifier.in_features == 512 * 4 * 4
    assert not any(m.stride not in (1, (1, 1)) for m in net.modules() if isinstance(m, torch.nn.Conv2d))


@pytest.mark.parametrize("name", [f"{name}-w8" for name in NAMES])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16, 28, 32, 64])
def test_every_student_takes_every_image(name, channels, size):
    net = build_model(name, channels=channels, classes=5, size=size, seed=0)
    images = torch.randn(3, channels, size, size)
    assert net(images).shape == (3, 5)
    assert net.embed(images).shape == (3, net.classifier.in_features)
    torch.testing.assert_close(net(images), net.classifier(net.embed(images)))


@pytest.mark.parametrize(
    ("name", "size", "features"),
    [("alexnet", 28, 192 * 16), ("vgg11", 28, 512), ("resnet18-ap", 28, 512 * 16), ("vgg11", 64, 512),
     ("alexnet", 64, 192 * 16)],
)  # fmt: skip
def test_grey_images_of_28_pixels_become_32_and_large_ones_shrink_at_once(name, size, features):
    net = build_model(name, channels=1 if size == 28 else 3, classes=2, size=size, seed=0)
    assert net.classifier.in_features == features


@pytest.mark.parametrize("name", NAMES)
def test_width_scales_all_layers(name):
    wide = parse(name, installed().architectures).width
    small, large = (parameters(f"{name}-w{width}") for width in (wide // 2, wide))
    assert 1.5 * small < large < 4.5 * small


@pytest.mark.parametrize(
    ("name", "canonical"),
    [("resnet18", "resnet18-w64-in"), ("vgg11-w16", "vgg11-w16-in"), ("mlp", "mlp-w128-nn"), ("lenet", "lenet-w6-nn"),
     ("alexnet-in", "alexnet-w128-in"), ("resnet18-ap", "resnet18-ap-w64-in"), ("resnet18-bn-ap-w8", "resnet18-ap-w8-bn")],
)  # fmt: skip
def test_names(name, canonical):
    assert parse(name, installed().architectures).canonical == canonical
    assert parse(canonical, installed().architectures).canonical == canonical


@pytest.mark.parametrize("name", ["mlp-bn", "vgg11-ap", "resnet18-ap-ap", "convnet3-ap"])
def test_suffixes_that_a_family_has_not_are_refused(name):
    with pytest.raises(UsageError, match="is not understood"):
        parse(name, installed().architectures)


SMALL = {"vgg11": "vgg11-w8", "resnet18": "resnet18-w8", "resnet18-ap": "resnet18-ap-w8"}


@pytest.mark.parametrize("name", [SMALL.get(name, name) for name in NAMES])
def test_a_few_steps_reduce_the_loss(name):
    net = build_model(name, channels=1, classes=3, size=8, seed=1)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(30) % 3
    images = torch.randn(3, 1, 8, 8, generator=generator)[labels] + 0.1 * torch.randn(30, 1, 8, 8, generator=generator)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    torch.manual_seed(0)  # dropout draws from the global generator

    def loss():
        return torch.nn.functional.cross_entropy(net(images), labels)

    before = loss().item()
    for _ in range(40):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    net.eval()
    assert loss().item() < 0.7 * before
