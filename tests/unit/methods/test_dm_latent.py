"""dm_latent: the generator is a variational auto-encoder of train, latents move by DM's loss, and all bytes count."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ddbench.blocks import features
from ddbench.blocks.generator_params import GeneratorParams
from ddbench.blocks.generators import FILE, Generator, build, loss
from ddbench.blocks.said import SAID
from ddbench.blocks.sampling import first_of_each_class
from ddbench.core.errors import NodeFailureError, UsageError
from ddbench.core.specs import Budget
from ddbench.data.space.visible import visible_pixels
from ddbench_plugins.dm_latent.method import DMLatent
from ddbench_plugins.dm_latent.params import DMLatentParams
from tests.fakes import FakeContext, run, toy
from tests.parity.reference.dm import dm_loss
from tests.unit.methods.test_mtt import INFO, cell

SMALL = {"latent": 4, "hidden": 12, "generator_epochs": 250}
FAST = DMLatentParams(**SMALL, iterations=3, batch_real=6, lr_latent=0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("generator")
    build(FakeContext(toy(), toy((2, 2, 2), seed=9)), found, FAST.generator)
    return found


def context(folder, **fields):
    fields = {"budget": Budget(ipc=2)} | fields
    return FakeContext(toy(dtype=torch.float64), toy((2, 2, 2), seed=9), artifacts={"generator": folder}, **fields)


def trained(ctx, folder):
    return Generator.open(folder, FAST.generator, ctx.dataset, ctx.train.images()[:1])


def test_the_loss_is_that_of_a_variational_auto_encoder(folder):
    """Against torch's own squared error and divergence of normal distributions."""
    ctx = context(folder)
    made, images, labels = trained(ctx, folder), ctx.train.images()[:5], ctx.train.labels[:5]
    noise = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean, log_variance = made.encode(images, labels)
    spread = (log_variance / 2).exp()
    rebuilt = made.decode(mean + spread * noise, labels)
    error = nn.functional.mse_loss(rebuilt, images, reduction="sum") / 2
    normal = torch.distributions.Normal
    divergence = torch.distributions.kl_divergence(normal(mean, spread), normal(0.0, 1.0)).sum()
    torch.testing.assert_close(loss(made, images, labels, noise, 0.7), (error + 0.7 * divergence) / 5)


def test_the_generator_learns_its_images_and_uses_the_class(folder):
    ctx = FakeContext(toy(), toy((2, 2, 2), seed=9))  # those that it was built from
    made, images, labels = trained(ctx, folder), ctx.train.images(), ctx.train.labels
    rebuilt = made.decode(made.encode(images, labels)[0], labels)
    assert float((rebuilt - images).square().mean()) < 0.25 * float((images - images.mean(0)).square().mean())
    assert not torch.allclose(made.decode(torch.zeros(1, 4), torch.tensor([0])),
                              made.decode(torch.zeros(1, 4), torch.tensor([1])))  # fmt: skip
    assert not any(parameter.requires_grad for parameter in made.decoder.parameters())


def test_its_size_is_foreseen(folder):
    sizes = FAST.generator.decoder_parameters(context(folder).dataset)
    kept = load_file(folder / FILE)
    assert sizes == len(kept["decoder"]) == (4 + 3 + 1) * 12 + 13 * 64
    assert len(kept["encoder"]) == (64 + 3 + 1) * 12 + 13 * 8
    deep = GeneratorParams(latent=4, hidden=12, layers=2)
    assert deep.decoder_parameters(context(folder).dataset) == sizes + 13 * 12
    assert [type(part) for part in Generator.fresh(deep, context(folder).dataset, 0, torch.zeros(1)).decoder] == [
        nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear,
    ]  # fmt: skip


def test_a_generator_that_diverges_is_no_artifact(tmp_path):
    ctx = FakeContext(toy(), toy((2, 2, 2), seed=9))
    with pytest.raises(NodeFailureError, match="no numbers"):
        build(ctx, tmp_path, GeneratorParams(epochs=3, lr=1e30))


def test_starts_from_what_the_generator_makes_of_randoms_images(folder):
    ctx, method = context(folder), DMLatent(FAST)
    method.prepare(ctx)
    first = first_of_each_class(ctx)
    made = trained(ctx, folder)
    expected = made.decode(made.encode(ctx.train.images(first), ctx.train.labels[first])[0], ctx.train.labels[first])
    condensed = method.finalise(ctx)
    torch.testing.assert_close(condensed.images, expected.detach().float())
    assert torch.equal(condensed.labels, ctx.train.labels[first])


def test_latents_move_by_adam_on_dms_loss_through_the_decoder(folder):
    ctx, method = context(folder), DMLatent(FAST.model_copy(update={"augment": "none"}))
    method.prepare(ctx)
    made, latents = trained(ctx, folder), method.latents.clone().requires_grad_()
    optimiser, draws = torch.optim.Adam([latents], lr=0.05), torch.Generator()
    draws.set_state(ctx.generator.get_state())
    for ctx.step in range(3):
        net = ctx.build_model(seed=ctx.seed("net", str(ctx.step)))
        real = ctx.train.images(method.sampler.draw(6, draws)).split(6)
        optimiser.zero_grad()
        expected = dm_loss(net, real, made.decode(latents, method.labels).split(2))
        expected.backward()
        optimiser.step()
        assert method.step(ctx)["loss"] == pytest.approx(float(expected.detach()), rel=1e-9)
    torch.testing.assert_close(method.latents, latents.detach(), rtol=1e-8, atol=1e-10)


def test_batch_norm_sees_all_images_of_a_side_at_once_as_under_dm(folder, monkeypatch):
    monkeypatch.setattr(features, "CPU_CHUNK_BYTES", 1)  # without batch norm, one image per pass
    ctx = context(folder, norm="bn", arch="convnet2-w8-bn")
    method = DMLatent(FAST.model_copy(update={"augment": "none"}))
    method.prepare(ctx)
    net, draws = ctx.build_model(seed=ctx.seed("net", "0")), torch.Generator()
    draws.set_state(ctx.generator.get_state())
    real = ctx.train.images(method.sampler.draw(6, draws))
    x, s = net.embed(real), net.embed(method.generator.decode(method.latents, method.labels))
    expected = sum((a.mean(0) - b.mean(0)).square().sum() for a, b in zip(x.split(6), s.split(2), strict=True))
    assert method.step(ctx)["loss"] == pytest.approx(float(expected.detach()), rel=1e-9)


def test_latents_and_decoder_are_what_the_set_costs_and_decode_to_its_images(folder):
    ctx, method = context(folder), DMLatent(FAST)
    condensed = run(method, ctx)
    size = condensed.storage
    assert (size.images, size.codes, size.decoder) == (0, 4 * 6 * 4, 4 * FAST.generator.decoder_parameters(ctx.dataset))
    assert FAST.stored_bytes(6, ctx.dataset) == size.codes + size.decoder
    fresh = Generator.fresh(FAST.generator, ctx.dataset, 1, torch.zeros(1))
    nn.utils.vector_to_parameters(condensed.aux["decoder"], fresh.decoder.parameters())
    torch.testing.assert_close(fresh.decode(condensed.aux["codes"], condensed.labels).detach(), condensed.images)
    said = method.diagnostics(ctx)
    assert (said["latents"], said["latent_numbers"], said["decoder_bytes"]) == (6, 4, size.decoder)
    assert said["latent_change"] > 0
    assert ctx.warnings == [
        f"each image is a latent of 4 numbers; the decoder that all share takes {size.decoder:,} bytes"
    ]
    assert said.keys() <= {name for quantity in SAID for name in quantity.names}
    with pytest.raises(UsageError, match="no pictures"):
        visible_pixels(condensed, None, stored=True)


def test_a_set_may_have_more_latents_than_the_budget_has_images(folder):
    params = FAST.model_copy(update={"latents_per_image": 3})
    condensed = run(DMLatent(params), context(folder))
    assert condensed.labels.bincount().tolist() == [6] * 3
    assert condensed.storage.codes == 4 * 18 * 4
    few = math.ceil(min(INFO.counts) / 3) + 1
    assert "3 are needed" in params.unsupported(cell(budget=Budget(ipc=few)), INFO)
    assert params.model_copy(update={"init": "noise"}).unsupported(cell(budget=Budget(ipc=few)), INFO) is None


def test_noise_starts_as_standard_normal_latents(folder):
    method = DMLatent(FAST.model_copy(update={"init": "noise"}))
    method.prepare(context(folder, budget=Budget(ipc=100)))
    assert abs(float(method.latents.std()) - 1) < 0.1 and method.latents.shape == (300, 4)


def test_resumes_to_the_bit(folder):
    whole = run(DMLatent(FAST), context(folder), steps=3)
    first, method = context(folder), DMLatent(FAST)
    run(method, first, steps=2)
    second, resumed = context(folder), DMLatent(FAST)
    resumed.prepare(second)
    resumed.load_state_dict(method.state_dict())
    second.generator.set_state(first.generator.get_state())
    second.step = 2
    resumed.step(second)
    assert torch.equal(resumed.finalise(second).images, whole.images)


def test_each_repetition_has_a_generator_of_its_own_that_all_networks_share():
    one, other = (DMLatentParams().artifacts(cell(r=r))["generator"] for r in (0, 1))
    assert one.seed != other.seed and one.arch is None
    assert one == DMLatentParams().artifacts(cell(r=0, arch="convnet3-w8-in"))["generator"]
