"""Networks by name."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from ddbench.core.errors import PluginError, UsageError
from ddbench.core.plugin.loader import installed
from ddbench.models import build_model, parse
from ddbench.models.catalog import FAMILIES


def families():
    return installed().architectures


CIFAR = {"channels": 3, "classes": 10, "size": 32}


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("convnet3", "convnet3-w128-in"),
        ("convnet2-w32", "convnet2-w32-in"),
        ("convnet4-bn", "convnet4-w128-bn"),
        ("convnet1-nn-w7", "convnet1-w7-nn"),
        ("convnet3-w128-in", "convnet3-w128-in"),
    ],
)
def test_short_forms_and_any_order_mean_the_canonical_name(name, canonical):
    assert parse(name, families()).canonical == canonical
    assert parse(canonical, families()).canonical == canonical


def test_unknown_architecture_is_told_the_nearest():
    with pytest.raises(UsageError, match=r"unknown architecture 'convnt3'; did you mean convnet3.*ddbench list archs"):
        parse("convnt3", families())


@pytest.mark.parametrize(
    "name", ["convnet3-w0", "convnet3-w", "convnet3-ln", "convnet3-in-bn", "convnet3-w8-w8", "convnet3-"]
)
def test_bad_suffixes_are_usage_errors(name):
    with pytest.raises(UsageError, match="is not understood"):
        parse(name, families())


def test_published_size_on_cifar10():
    net = build_model("convnet3", **CIFAR, seed=0)
    assert sum(p.numel() for p in net.parameters()) == 320_010
    assert net.embed(torch.zeros(2, 3, 32, 32)).shape == (2, 2048)
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "channels", "size", "features"),
    [("convnet3", 1, 28, 2048), ("convnet4", 3, 64, 2048), ("convnet3", 3, 28, 1152), ("convnet2-w32", 1, 8, 128)],
)
def test_feature_sizes(name, channels, size, features):
    net = build_model(name, channels=channels, classes=5, size=size, seed=0)
    assert net.embed(torch.zeros(1, channels, size, size)).shape == (1, features)


def test_only_grey_images_of_28_pixels_are_padded_by_three():
    def padding(channels, size):
        return build_model("convnet2", channels=channels, classes=2, size=size, seed=0).features[0].padding

    assert padding(1, 28) == (3, 3)
    assert padding(3, 28) == padding(1, 8) == padding(1, 32) == (1, 1)


def test_too_small_images_are_a_usage_error():
    build_model("convnet3", channels=1, classes=2, size=8, seed=0)
    with pytest.raises(UsageError, match="halves its images 4 times: 8 pixels are too few"):
        build_model("convnet4", channels=1, classes=2, size=8, seed=0)


def test_classifier_reads_the_embedding():
    net = build_model("convnet2-w8", channels=1, classes=3, size=8, seed=0)
    x = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(net(x), net.classifier(net.embed(x)))


def test_instance_norm_makes_features_blind_to_contrast_and_brightness_of_each_map():
    """Group norm with one channel per group: a scaled first convolution gives the same features."""
    net = build_model("convnet2-w8-in", channels=1, classes=3, size=8, seed=0).double()
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    before = net.embed(x)
    with torch.no_grad():
        net.features[0].weight *= 1e4
        net.features[0].bias *= 1e4
    torch.testing.assert_close(net.embed(x), before, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("norm", "kind"), [("in", torch.nn.GroupNorm), ("bn", torch.nn.BatchNorm2d), ("nn", None)])
def test_norm_suffix_chooses_the_norm(norm, kind):
    modules = list(build_model(f"convnet2-{norm}", **CIFAR, seed=0).modules())
    norms = [m for m in modules if isinstance(m, torch.nn.GroupNorm | torch.nn.BatchNorm2d)]
    assert len(norms) == (2 if kind else 0)
    assert all(isinstance(m, kind) for m in norms)


def test_same_seed_same_network_and_global_randomness_untouched():
    before = torch.random.get_rng_state()
    first, again, other = (build_model("convnet2-w8", **CIFAR, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = [net.features[0].weight for net in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_initial_parameters_are_torch_defaults():
    """Uniform within ±1/√fan_in for weights and biases; the bound is nearly reached."""
    net = build_model("convnet3", **CIFAR, seed=0)
    for layer, fan_in in ((net.features[4], 128 * 9), (net.classifier, 2048)):
        bound = fan_in**-0.5
        assert 0.95 * bound < layer.weight.abs().max() <= bound
        assert layer.bias.abs().max() <= bound


def test_every_listed_base_is_built():
    for family in FAMILIES:
        for base in family.bases:
            net = build_model(f"{base}-w4", channels=3, classes=2, size=64, seed=0)
            assert net(torch.zeros(2, 3, 64, 64)).shape == (2, 2), base


def test_names_and_catalogs_import_no_torch():
    modules = "ddbench.models, ddbench.models.catalog, ddbench.blocks.params, ddbench.blocks.catalog"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (None, "returns a NoneType, no torch.nn.Module"),
        (torch.nn.Linear(1, 1), "returns a Linear without a method `embed`"),
    ],
)
def test_what_is_no_network_is_refused_where_it_is_built(monkeypatch, made, told):
    monkeypatch.setattr("ddbench.models.convnet.build", lambda name, **place: made)
    with pytest.raises(PluginError, match=f"architecture 'convnet3-w128-in': ddbench.models.convnet:build {told}"):
        build_model("convnet3", **CIFAR, seed=0)
