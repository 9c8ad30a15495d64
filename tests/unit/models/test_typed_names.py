"""Architectures as papers and scripts write them: one canonical name, or the text itself."""

from __future__ import annotations

import pytest

from ddbench import ArchInfo
from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.plugin.registry import Origin, Registry
from ddbench.models.names import meant, parse


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("ConvNet", "convnet3-w128-in"), ("ConvNetD4", "convnet4-w128-in"), ("ConvNetD3", "convnet3-w128-in"),
        ("ConvNetW128D3", "convnet3-w128-in"), ("ConvNetD2W32", "convnet2-w32-in"), ("ConvNetW3D3", "convnet3-w3-in"),
        ("ConvNetBN", "convnet3-w128-bn"), ("ConvNetD5NN", "convnet5-w128-nn"), ("Conv-Net_D1", "convnet1-w128-in"),
        ("ConvNet-w64", "convnet3-w64-in"), ("convnet3_w64_bn", "convnet3-w64-bn"), ("ConvNet4", "convnet4-w128-in"),
        ("ResNet18", "resnet18-w64-in"), ("ResNet18BN", "resnet18-w64-bn"), ("ResNet18_AP", "resnet18-ap-w64-in"),
        ("ResNet18BN_AP", "resnet18-ap-w64-bn"), ("ResNet-18", "resnet18-w64-in"), ("VGG11", "vgg11-w64-in"),
        ("VGG11BN", "vgg11-w64-bn"), ("VGG-11", "vgg11-w64-in"), ("LeNet", "lenet-w6-nn"), ("LeNet-5", "lenet-w6-nn"),
        ("MLP", "mlp-w128-nn"), ("AlexNet", "alexnet-w128-nn"), ("AlexNetBN", "alexnet-w128-bn"),
    ],
)  # fmt: skip
def test_spellings_of_papers_mean_one_network(text, canonical):
    families = installed().architectures
    assert parse(meant(text, families), families).canonical == canonical


@pytest.mark.parametrize("name", ["convnet3", "convnet3-w64", "resnet18-bn-ap", "mlp-w16"])
def test_names_of_the_grammar_stay_as_they_are(name):
    assert meant(name, installed().architectures) == name


@pytest.mark.parametrize(
    "text", ["ConvNetD6", "ResNet", "ResNet50", "ConvNetD3D4", "ConvNet3D4", "ConvNetW0", "MLPBN", "ConvNetAS", "", "-"]
)
def test_what_means_no_network_is_left_for_the_grammar_to_refuse(text):
    families = installed().architectures
    assert meant(text, families) == text
    with pytest.raises(UsageError, match="architecture"):
        parse(meant(text, families), families)


def test_families_of_plugins_get_the_same_and_two_that_could_be_meant_are_named():
    registry = Registry("architecture", "ddbench list archs", ArchInfo, aliases=lambda family: family.bases)
    for name, base, norms, aliases in (
        ("wide", "wide2", ("bn", "ln_x"), {"broad": "wide2-w8"}), ("wi", "wi_de2", ("bn",), {}),
    ):  # fmt: skip
        draft = registry.draft(Origin(name, name, "1", name))
        draft.add(ArchInfo(name=name, bases=(base,), target="a:b", summary="…", norms=norms, aliases=aliases))
        draft.commit()
    assert parse(meant("WideD2-LN-X", registry), registry).canonical == "wide2-w128-ln_x"
    assert parse(meant("Broad_BN", registry), registry).canonical == "wide2-w8-bn"
    with pytest.raises(UsageError, match="'Wide2' could mean wi_de2-w128-bn or wide2-w128-bn"):
        meant("Wide2", registry)
