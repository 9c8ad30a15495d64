"""Training in bfloat16: a ConvNet's block within the rounding of bfloat16, its parameters and predictions in float32."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from ddbench.blocks.sgd import SGD
from ddbench.core.errors import UsageError
from ddbench.models import build_model
from ddbench.models.fused import bf16, block, library
from ddbench.work.engine import Engine, choose

pytestmark = pytest.mark.skipif(bool(library.missing()), reason=f"no library: {library.missing()}")
SHAPES = [(2, 32, 32, 32), (3, 128, 16, 16), (2, 33, 8, 8), (2, 3, 7, 7), (2, 40, 5, 6), (1, 1, 2, 3), (2, 64, 14, 14)]
ULP = 2.0**-8
"""Two neighbours of bfloat16 differ by 2⁻⁷ of their value at most, so that rounding changes half of that."""


@pytest.fixture(autouse=True)
def trains():
    block.turn(True, bf16=True)
    yield
    block.turn(False)


def inputs(shape):
    """(x, gain, bias): x in numbers that bfloat16 has."""
    draws = torch.Generator().manual_seed(sum(shape))
    x, gain, bias = (torch.randn(size, generator=draws) for size in (shape, shape[1], shape[1]))
    return (3 * x + 1).bfloat16().float(), gain, bias


def ours(x, gain, bias):
    half = x.bfloat16().contiguous(memory_format=torch.channels_last)
    return bf16._NormReluPool.apply(half, torch.zeros_like(bias), gain, bias, 1e-5).float()


def exact(x, gain, bias):
    return functional.avg_pool2d(functional.relu(functional.group_norm(x, len(gain), gain, bias, 1e-5)), 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_exact_but_for_the_rounding_of_what_is_stored(shape):
    found = []
    for function, dtype in ((ours, torch.float32), (exact, torch.float64)):
        given = [one.to(dtype).requires_grad_() for one in inputs(shape)]
        value = function(*given)
        dout = torch.randn(value.shape, generator=torch.Generator().manual_seed(1)).bfloat16().to(dtype)
        found.append([value, *torch.autograd.grad(value, given, dout)])
    (value, dx, *of_parameters), (value_, dx_, *of_parameters_) = found
    torch.testing.assert_close(value.double(), value_, rtol=ULP, atol=1e-6)
    torch.testing.assert_close(dx.double(), dx_, rtol=ULP, atol=1e-5)
    for mine, theirs in zip(of_parameters, of_parameters_, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-4)


def test_what_lies_between_two_numbers_is_rounded_as_pytorch_rounds():
    gain, bias = torch.zeros(32), torch.linspace(0.5, 2.0, 32)  # the output is the bias, rounded
    found = ours(torch.randn(1, 32, 4, 4), gain, bias)
    assert torch.equal(found[0, :, 0, 0], bias.bfloat16().float())
    halfway = torch.tensor([1 + 2.0**-8, 1 + 3 * 2.0**-8] * 16)  # to the even neighbour
    assert ours(torch.randn(1, 32, 4, 4), gain, halfway)[0, :2, 0, 0].tolist() == [1.0, 1 + 2.0**-6]


def test_nan_stays_in_its_plane():
    x, gain, bias = inputs((2, 40, 4, 4))
    x[0, 35, 1, 1] = float("nan")
    found = ours(x, gain, bias).isnan()
    assert found[0, 35].all()
    assert found.sum() == 4


def test_the_number_of_threads_changes_no_bit():
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            given = [one.requires_grad_() for one in inputs((5, 70, 8, 8))]
            found.append(torch.autograd.grad(ours(*given).square().sum(), given))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for more in found[1:] for a, b in zip(found[0], more, strict=True))


def problem():
    net = build_model("convnet3-w32", channels=1, classes=4, size=28, seed=0)
    draws = torch.Generator().manual_seed(3)
    labels = torch.arange(64) % 4
    return net, torch.randn(64, 1, 28, 28, generator=draws) + labels.view(-1, 1, 1, 1), labels


def gradients(net, images, labels):
    return torch.autograd.grad(functional.cross_entropy(net(images), labels), list(net.parameters()))


def test_a_network_s_gradients_point_where_those_of_float32_do():
    net, images, labels = problem()
    half = gradients(net, images, labels)
    block.turn(True)
    whole = gradients(net, images, labels)
    assert {one.dtype for one in half} == {torch.float32}
    assert not any(torch.equal(mine, theirs) for mine, theirs in zip(half[::4], whole[::4], strict=True))
    biases = {1, 5, 9}  # of the convolutions
    for i, (mine, theirs) in enumerate(zip(half, whole, strict=True)):
        if i in biases:
            assert mine.count_nonzero() == 0
            assert theirs.abs().max() < 1e-5, "the norm takes it away"
        else:
            assert functional.cosine_similarity(mine.flatten(), theirs.flatten(), dim=0) > 0.98


def test_steps_too_small_for_bfloat16_add_up():
    net, images, labels = problem()
    before = [one.detach().clone() for one in net.parameters()]
    for _ in range(3):
        SGD(list(net.parameters()), lr=1e-5).step(gradients(net, images, labels))
    moved = [float((one.detach() - old).abs().max()) for one, old in zip(net.parameters(), before, strict=True)]
    assert all(0 < m < 1e-3 for i, m in enumerate(moved) if i not in {1, 5, 9})


def test_predictions_are_those_of_float32():
    net, images, _ = problem()
    with torch.no_grad():
        half = net(images)
        block.turn(True)
        assert torch.equal(half, net(images))


def test_second_derivatives_are_refused():
    net, images, labels = problem()
    loss = functional.cross_entropy(net(images), labels)
    with pytest.raises(RuntimeError, match="differentiable once"):
        torch.autograd.grad(loss, list(net.parameters()), create_graph=True)


def test_networks_of_other_norms_train_in_float32():
    net = build_model("convnet2-w8-bn", channels=1, classes=4, size=8, seed=0)
    images, labels = torch.randn(16, 1, 8, 8), torch.arange(16) % 4
    half = gradients(net, images, labels)
    block.turn(False)
    assert all(torch.equal(a, b) for a, b in zip(half, gradients(net, images, labels), strict=True))


def test_the_block_takes_any_batch_that_a_convolution_takes():
    conv, norm = nn.Conv2d(3, 32, 3, padding=1), nn.GroupNorm(32, 32)
    found = bf16.block(torch.randn(2, 8, 3, 8).transpose(1, 2), conv, norm)
    assert (found.shape, found.dtype) == ((2, 32, 4, 4), torch.bfloat16)


def test_an_engine_of_that_name_trains_so_and_another_one_does_not():
    Engine(device="cpu", threads=1, engine="bf16").apply()
    assert block.trains_in_bf16()
    Engine(device="cpu", threads=1, engine="fused").apply()
    assert not block.trains_in_bf16()


@pytest.mark.parametrize(("lacks", "why"), [("missing", "there is no C compiler"), ("no_bf16", "this processor")])
def test_a_machine_that_cannot_train_so_says_why_and_never_does_so_by_itself(monkeypatch, lacks, why):
    monkeypatch.setattr(f"ddbench.work.engine.{lacks}", lambda: why)
    with pytest.raises(UsageError, match=f"^--engine bf16: {why}$"):
        choose(device="cpu", threads=1, engine="bf16")
    assert choose(device="cpu", threads=1).engine in ("eager", "fused")


def test_a_processor_says_whether_it_multiplies_such_numbers(monkeypatch):
    monkeypatch.setattr(library, "_processor", lambda: "flags : avx512f avx512_bf16 amx_bf16")
    assert library.no_bf16() == ""
    monkeypatch.setattr(library, "_processor", lambda: "flags : avx2 fma")
    assert library.no_bf16() == "this processor does not multiply bfloat16 (AVX512_BF16)"
