"""IDM, DANCE and NCFM: each is DM where its additions are switched off, and the published loop where they are not."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ddbench.blocks.augment import DSA, Composed, Draw
from ddbench.blocks.distribution_params import PairsParams
from ddbench.blocks.distributions import phase_distance
from ddbench.blocks.features import embed
from ddbench.blocks.matching import class_mean_feature_distance
from ddbench.blocks.pairs import build
from ddbench.blocks.parametrize import Parametrisation
from ddbench.blocks.said import SAID
from ddbench.blocks.sampling import ClassSampler, first_of_each_class
from ddbench.blocks.turns import AdamWTurns, SGDTurns
from ddbench.core.plugin.loader import installed
from ddbench.core.specs import Budget, DataSpec
from ddbench.plan.presets import choose
from ddbench_plugins.dance.method import DANCE
from ddbench_plugins.dance.params import DANCEParams
from ddbench_plugins.idm.method import IDM
from ddbench_plugins.idm.params import IDMParams
from ddbench_plugins.ncfm.method import NCFM
from ddbench_plugins.ncfm.params import NCFMParams
from tests.fakes import FakeContext, run, toy
from tests.parity.reference.dm import dm_loss
from tests.unit.methods.test_mtt import INFO, cell

FORM = Parametrisation("multi-formation", 2)
IDM_FAST = {"iterations": 3, "batch_real": 6, "networks": 3, "push_every": 2, "net_steps": 2, "batch_net": 16}
PAIRED = {"iterations": 3, "batch_real": 6, "pairs": 2, "pair_epochs": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("pairs")
    build(FakeContext(toy(), toy((2, 2, 2), seed=9)), found, PairsParams(pairs=2, epochs=3, batch=30, lr=0.05))
    return found


def context(folder=None, counts=(30, 30, 30), **fields):
    artifacts = {} if folder is None else {"pairs": folder}
    fields = {"budget": Budget(ipc=2), "artifacts": artifacts} | fields
    return FakeContext(toy(counts, dtype=torch.float64), toy((2, 2, 2), seed=9), **fields)


def same_draws(ctx):
    generator = torch.Generator()
    generator.set_state(ctx.generator.get_state())
    return generator


# ------------------------------------------------------------------------------------------------------------- IDM


@pytest.mark.parametrize("augment", ["none", "dsa"])
def test_idm_without_cross_entropy_and_with_fresh_networks_is_dm_with_a_step_for_each_class(augment):
    p = IDMParams(
        iterations=4, batch_real=6, ce_weight=0, networks=1, push_every=1, net_steps=0, parametrisation="pixels",
        augment=augment,
    )  # fmt: skip
    ctx, method = context(), IDM(p)
    method.prepare(ctx)
    images = method.images.value.clone().requires_grad_()
    assert torch.equal(images, ctx.train.images(first_of_each_class(ctx)))
    optimiser, generator, dsa = torch.optim.SGD([images], lr=0.2, momentum=0.5), same_draws(ctx), DSA.for_dataset(False)
    for ctx.step in range(4):
        net = ctx.build_model(seed=ctx.seed("net", str(ctx.step + 1)))
        torch.randint(1, (1,), generator=generator)  # which network of the queue
        real = ctx.train.images(method.sampler.draw(6, generator)).split(6)
        draws = [dsa.draw(generator) for _ in range(3)] if augment == "dsa" else None
        for c in range(3):
            seen = None if draws is None else [lambda x, draw=draws[c]: dsa(x, draw)]
            optimiser.zero_grad()
            dm_loss(net, [real[c]], [images[2 * c : 2 * c + 2]], seen).backward()
            optimiser.step()
        method.step(ctx)
        torch.testing.assert_close(method.images.value, images.detach(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shared", [True, False])
def test_idm_is_the_published_loop(shared):
    """Classes take turns, the network's accuracy weighs the cross entropy, two networks learn after every step."""
    p = IDMParams(**IDM_FAST | {"iterations": 4}, ce_weight=0.02, augment="none", shared_state=shared)
    ctx, plain, method = context(), context(), IDM(p)
    method.prepare(ctx)
    canvases = method.images.value.clone()
    parts = [canvases.requires_grad_()] if shared else [part.requires_grad_() for part in canvases.split(2)]
    optimisers = [torch.optim.SGD([part], lr=0.2, momentum=0.5) for part in parts]
    sampler, draws = ClassSampler([plain.train.of_class(c) for c in range(3)]), plain.generator
    nets, made = [], 0

    def push():
        nonlocal made
        net = plain.build_model(seed=plain.seed("net", str(made))).train()
        sgd = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        nets.append((net, sgd, []))
        made += 1
        del nets[:-3]

    for _ in range(3):
        push()
    weighed = 0
    for step in range(4):
        if step % 2 == 0:
            push()
        net, _, right = nets[int(torch.randint(3, (1,), generator=draws))]
        accuracy = 100 * sum(right) / len(right) if right else 0.0
        weighed += accuracy > 0
        real = plain.train.images(sampler.draw(6, draws)).split(6)
        for c in range(3):
            stored = canvases[2 * c : 2 * c + 2] if shared else parts[c]
            syn = FORM.decode(stored)
            loss = (net.embed(real[c]).detach().mean(0) - net.embed(syn).mean(0)).square().sum()
            loss = loss + 0.02 * accuracy * functional.cross_entropy(net(syn), torch.full((8,), c))
            optimiser = optimisers[0] if shared else optimisers[c]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        for i in torch.randperm(3, generator=draws)[:2].tolist():
            net, sgd, right = nets[i]
            for _ in range(2):
                index = torch.randperm(90, generator=draws)[:16]
                logits, labels = net(plain.train.images(index)), plain.train.labels[index]
                right.append(float((logits.argmax(1) == labels).double().mean()))
                sgd.zero_grad()
                functional.cross_entropy(logits, labels).backward()
                sgd.step()
        ctx.step = step
        method.step(ctx)
    assert weighed > 0
    expected = (canvases if shared else torch.cat(parts)).detach()
    torch.testing.assert_close(method.images.value, expected, rtol=1e-7, atol=1e-8)


def test_networks_of_the_queue_can_learn_after_they_were_looked_through():
    ctx, method = context(), IDM(IDMParams(**IDM_FAST))
    run(method, ctx)
    for member in method.queue.members:
        assert member.model.training and all(parameter.requires_grad for parameter in member.model.parameters())


# ------------------------------------------------------------------------------------------------ DANCE and NCFM


def test_dance_at_first_networks_without_calibration_has_dms_loss(folder):
    p = DANCEParams(**PAIRED, network="first", calibration=False, parametrisation="pixels")
    ctx, method = context(folder), DANCE(p)
    method.prepare(ctx)
    method.augment = None
    generator, syn = same_draws(ctx), method.normalised(method.images.value.clamp(0, 1))
    j = int(torch.randint(2, (1,), generator=generator))
    torch.rand(1, generator=generator, dtype=torch.float64)
    real = ctx.train.images(method.sampler.draw(6, generator))
    net = ctx.build_model(seed=0)
    torch.nn.utils.vector_to_parameters(method.pairs.first[j], net.parameters())
    loss = class_mean_feature_distance(net.embed(real), net.embed(syn), [6] * 3, [2] * 3)
    assert method.step(ctx)["loss"] == pytest.approx(float(loss.detach()) / 3, rel=1e-9)


@pytest.mark.parametrize("name", ["dance", "ncfm"])
@pytest.mark.parametrize("shared", [True, False])
def test_dance_and_ncfm_are_the_published_loop(folder, name, shared):
    """Two turns of every class, one at the distance and one at the error, with torch's own optimisers."""
    more = {"frequencies": 12, "patience": 1} if name == "ncfm" else {"batch_syn": 5}
    made = {"dance": (DANCE, DANCEParams), "ncfm": (NCFM, NCFMParams)}[name]
    p = made[1](**PAIRED | {"iterations": 6}, **more, shared_state=shared, lr_img=0.05)
    ctx, plain, method = context(folder), context(folder), made[0](p)
    method.prepare(ctx)
    draws, augment = plain.generator, Composed(ops=("color", "crop", "cutout"))
    canvases = method.images.value.clone()
    parts = [canvases.requires_grad_()] if shared else [part.requires_grad_() for part in canvases.split(2)]
    made_by = {
        "dance": lambda one: torch.optim.SGD(one, lr=0.05, momentum=0.5),
        "ncfm": lambda one: torch.optim.AdamW(one, lr=0.05, weight_decay=5e-4),
    }[name]
    optimisers = [made_by([part]) for part in parts]
    watched = torch.optim.lr_scheduler.ReduceLROnPlateau
    schedulers = [watched(one, factor=0.5, patience=1) for one in optimisers] if name == "ncfm" else []
    net, end = plain.build_model(seed=0), plain.build_model(seed=0)

    def turns(losses):
        total = 0.0
        for c in range(3):
            optimiser = optimisers[0] if shared else optimisers[c]
            loss = losses(c, FORM.decode(canvases[2 * c : 2 * c + 2] if shared else parts[c]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += float(loss.detach())
        return total / 3

    for ctx.step in range(6):
        j = int(torch.randint(2, (1,), generator=draws))
        share = float(torch.rand(1, generator=draws, dtype=torch.float64))
        first, trained = method.pairs.first[j], method.pairs.trained[j]
        torch.nn.utils.vector_to_parameters(share * first + (1 - share) * trained, net.parameters())
        torch.nn.utils.vector_to_parameters(trained.clone(), end.parameters())
        for part in parts:
            part.data.clamp_(0, 1)
        real = plain.train.images(method.sampler.draw(6, draws)).split(6)
        some = [torch.randperm(8, generator=draws)[:5] for _ in range(3)] if name == "dance" else [torch.arange(8)] * 3
        seen = [augment.draw(draws) for _ in range(3)]
        if name == "ncfm":
            spread = torch.Generator().manual_seed(int(torch.randint(2**62, (1,), generator=draws)))
            t = [torch.randn(12, 32, generator=spread, dtype=torch.float64) for _ in range(3)]

        def matched(c, syn, real=real, some=some, seen=seen, t=t if name == "ncfm" else None):
            both = augment(torch.cat([real[c], syn[some[c]]]), seen[c])
            x, s = net.embed(both[:6]).detach(), net.embed(both[6:])
            if t is None:
                return (x.mean(0) - s.mean(0)).square().sum()
            return phase_distance(functional.normalize(x), functional.normalize(s), t[c])

        loss = turns(matched)
        some = [torch.randperm(8, generator=draws)[:5] for _ in range(3)] if name == "dance" else some
        seen = [augment.draw(draws) for _ in range(3)]

        def calibrated(c, syn, some=some, seen=seen):
            images = augment(syn[some[c]], seen[c])
            return functional.cross_entropy(end(images), torch.full((len(images),), c))

        error = turns(calibrated)
        for scheduler in schedulers:
            scheduler.step(loss + error)
        said = method.step(ctx)
        assert (said["loss"], said["ce"]) == pytest.approx((loss, error), rel=1e-7)
        expected = (canvases if shared else torch.cat(parts)).detach()
        torch.testing.assert_close(method.images.value, expected, rtol=1e-6, atol=1e-8)
    if name == "ncfm":
        assert method.images.lr == optimisers[0].param_groups[0]["lr"]
        assert method.diagnostics(ctx)["lr_img_last"] == method.images.lr


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", ["dance", "ncfm"])
def test_permuting_classes_permutes_the_result_unless_they_share_an_optimiser(folder, name, shared):
    order = torch.tensor([2, 0, 1])  # class c is called order[c]
    given = PAIRED | {"batch_real": 30, "calibration": False, "shared_state": shared, "lr_img": 1.0}
    p = DANCEParams(**given) if name == "dance" else NCFMParams(**given | {"lr_img": 0.02}, distance="mean")
    ctx, other = context(folder), context(folder)
    other.train.labels = order[other.train.labels]
    one, two = (DANCE(p), DANCE(p)) if name == "dance" else (NCFM(p), NCFM(p))
    rows = torch.cat([torch.arange(6).split(2)[c] for c in order.argsort().tolist()])
    for method, place in ((one, ctx), (two, other)):
        method.prepare(place)
        method.augment = None
    if name == "dance":
        two.images = SGDTurns(one.start[rows], two.stored, p.lr_img, p.momentum, shared=shared)
    else:
        two.images = AdamWTurns(one.start[rows], two.stored, p.lr_img, p.decay, shared=shared)
    for ctx.step in range(3):
        other.step = ctx.step
        one.step(ctx)
        two.step(other)
    assert not torch.allclose(one.images.value, one.start)
    assert torch.allclose(two.images.value, one.images.value[rows], rtol=1e-9, atol=1e-11) == (not shared)


def test_ncfm_with_one_shared_adamw_is_another_algorithm(folder):
    sets = [
        run(NCFM(NCFMParams(**PAIRED, frequencies=8, shared_state=shared)), context(folder)) for shared in (True, False)
    ]
    assert not torch.allclose(sets[0].images, sets[1].images)


def test_pixels_stay_within_what_pixels_can_be(folder):
    for method in (DANCE(DANCEParams(**PAIRED, lr_img=50.0)), NCFM(NCFMParams(**PAIRED, frequencies=8, lr_img=0.5))):
        ctx = context(folder)
        ctx.train.preprocess = ctx.train.preprocess.model_copy(update={"mean": (0.4,), "std": (0.5,)})
        pixels = run(method, ctx).aux["codes"] * 0.5 + 0.4
        assert float(pixels.min()) >= -1e-6 and float(pixels.max()) <= 1 + 1e-6
        assert method.diagnostics(ctx)["image_change"] > 0


# ------------------------------------------------------------------------------------------------------------ all


def everyone(folder, **more):
    return [
        (IDM(IDMParams(**IDM_FAST, **more)), "bilinear"),
        (DANCE(DANCEParams(**PAIRED, **more)), "nearest"),
        (NCFM(NCFMParams(**PAIRED, frequencies=8, **more)), "nearest"),
    ]


def test_what_the_first_canvases_decode_to_are_four_halved_images(folder):
    for method, shrink in everyone(folder):
        ctx = context(folder)
        method.prepare(ctx)
        images = ctx.train.images(first_of_each_class(ctx, 4))
        if shrink == "nearest":
            images = images.clamp(0, 1)
        how = {} if shrink == "nearest" else {"align_corners": False}
        halved = functional.interpolate(images, (4, 4), mode=shrink, **how)
        shown = functional.interpolate(halved, (8, 8), mode="bilinear", align_corners=False)
        torch.testing.assert_close(method.form.decode(method.normalised(method.images.value)), shown)
        if shrink == "bilinear":
            torch.testing.assert_close(halved, functional.avg_pool2d(images, 2))


def test_what_runs_say_is_explained_and_true(folder):
    known = {name for quantity in SAID for name in quantity.names}
    for method, _ in everyone(folder):
        ctx = context(folder)
        condensed = run(method, ctx)
        said = method.diagnostics(ctx)
        assert said.keys() <= known
        first = method.form.decode(method.normalised(method.start))
        moved = (condensed.images - first).abs() / ctx.train.images().std()
        assert said["pixel_moved"] == pytest.approx(float(moved.mean()), rel=1e-5) and said["pixel_moved"] > 0


@pytest.mark.parametrize("distance", ["mean", "mmd", "cf"])
def test_every_method_offers_every_distance(folder, distance):
    for method, _ in everyone(folder, distance=distance):
        ctx = context(folder)
        method.prepare(ctx)
        first = method.images.value.clone()
        said = method.step(ctx)
        assert said["loss"] > 0 and not torch.equal(method.images.value, first)
        assert method.discrepancy.kind == distance


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("shared", [True, False])
def test_interrupted_runs_resume_to_the_same_set(folder, which, shared):
    (whole, _), (first, _), (second, _) = (everyone(folder, shared_state=shared)[which] for _ in range(3))
    expected = run(whole, context(folder), steps=3)
    ctx, later = context(folder), context(folder)
    run(first, ctx, steps=2)
    second.prepare(later)
    second.load_state_dict(first.state_dict())
    later.generator.set_state(ctx.generator.get_state())
    later.step = 2
    second.step(later)
    assert torch.equal(second.finalise(later).images, expected.images)


def test_classes_may_be_absent(folder):
    for method, _ in everyone(folder):
        ctx = context(folder)
        keep = ctx.train.labels != 1
        ctx.train.labels, ctx.train._images = ctx.train.labels[keep], ctx.train._images[keep]
        ctx.__post_init__()
        assert run(method, ctx).labels.tolist() == [0] * 8 + [2] * 8


def test_one_draw_of_the_augmentation_for_both_sides_of_a_class(folder, monkeypatch):
    seen = []
    cat = Draw.cat
    monkeypatch.setattr(Draw, "cat", lambda draws, counts: seen.append((draws, list(counts))) or cat(draws, counts))
    for method, _ in everyone(folder):
        ctx = context(folder)
        method.prepare(ctx)
        seen.clear()
        method.step(ctx)
        (real, real_counts), (syn, counts) = seen[:2]
        assert real is syn and len(real) == 3
        assert (real_counts, counts) == ([6] * 3, [8] * 3)


def test_recipes_say_how_the_authors_train_students(folder):
    idm, dance, ncfm = (run(method, context(folder)) for method, _ in everyone(folder))
    assert (idm.recipe.schema_version, idm.recipe.schedule, idm.recipe.updates) == (1, "step", None)
    d, n = dance.recipe, ncfm.recipe  # 24 images of 8 per class
    assert (d.updates, d.batch, d.drops, d.drop_factor, d.cutmix) == (2000, 64, (2 / 3, 5 / 6), 0.2, 0.5)
    assert (d.augmentation, d.lr, d.optimiser, d.weight_decay) == ("composed", 0.01, "sgd", 5e-4)
    assert (n.updates, n.batch, n.drops, n.drop_factor) == (2000, 128, (0.2, 0.4, 0.6, 0.8), 0.5)
    assert (n.augmentation, n.lr, n.optimiser, n.weight_decay, n.cutmix) == ("composed", 1e-3, "adamw", 0.01, 0.5)
    for condensed in (idm, dance, ncfm):
        assert condensed.storage.codes == 6 * 64 * 4 and len(condensed) == 24


@pytest.mark.parametrize(("ipc", "passes"), [(1, 2000), (12, 1500), (50, 1000)])
def test_dance_trains_students_of_larger_sets_for_fewer_passes(folder, ipc, passes):
    method, ctx = DANCE(DANCEParams(**PAIRED, init="noise")), context(folder, budget=Budget(ipc=ipc), counts=(60,) * 3)
    method.prepare(ctx)
    assert method.finalise(ctx).recipe.updates == passes * -(-12 * ipc // 64)


def test_what_cannot_run_is_refused_at_plan_time():
    white = DataSpec(name="toy", revision="r", preprocess="zca-kornia")
    for params in (DANCEParams(), NCFMParams()):
        assert "within 0 … 1" in params.unsupported(cell(data=white), INFO)
        assert "batch norm" in params.without_statistics
        assert params.unsupported(cell(), INFO) is None
    assert IDMParams().unsupported(cell(data=white), INFO) is None
    assert IDMParams().without_statistics == ""
    few = min(INFO.counts) // 4 + 1
    assert "4 are needed for each one" in IDMParams().unsupported(cell(budget=Budget(ipc=few)), INFO)


def test_idm_looks_through_batch_norm_as_it_has_learned_it():
    """In eval mode, so that images of different classes do not meet in a statistic."""
    ctx = context(norm="bn", arch="convnet2-w8-bn")
    method = IDM(IDMParams(**IDM_FAST))
    run(method, ctx)
    member = method.queue.members[0]
    images = ctx.train.images(torch.arange(8))
    with torch.no_grad():
        whole, parts = (embed(member.model.eval(), images, chunk) for chunk in (8, 3))
    torch.testing.assert_close(whole, parts)
    assert any(int(one.model.features[1].num_batches_tracked) for one in method.queue.members)


def test_pairs_are_shared_and_charged_by_what_is_opened():
    p = NCFMParams()
    (spec,) = p.artifacts(cell(r=3)).values()
    assert (spec.kind, spec.seed["r"], spec.params["batch"], spec.params["pairs"]) == ("pairs", 0, 128, 20)
    assert NCFMParams(pair_seed="per_rep").artifacts(cell(r=3))["pairs"].seed["r"] == 3
    assert DANCEParams().artifacts(cell())["pairs"].params["batch"] == 64
    assert p.opens("pairs", cell(), INFO) == 1.0
    assert NCFMParams(iterations=0).opens("pairs", cell(), INFO) == 0.0
    assert NCFMParams(network="first", calibration=False).opens("pairs", cell(), INFO) == 0.0
    assert NCFMParams(network="first").opens("pairs", cell(), INFO) == 1.0


@pytest.mark.parametrize(
    ("name", "dataset", "ipc", "expected"),
    [
        ("idm", "cifar10", 1, {"ce_weight": 0.5, "push_every": 5, "batch_real": 5000, "net_steps": 10, "networks": 100}),
        ("idm", "cifar100", 10, {"ce_weight": 0.1, "push_every": 30, "batch_real": 256, "net_steps": 50}),
        ("dance", "cifar10", 50, {"lr_img": 0.5, "iterations": 10_000, "batch_real": 128, "batch_syn": 200, "pairs": 20}),
        ("ncfm", "cifar10", 10, {"lr_img": 1e-3, "decay": 5e-4, "batch_real": 1024, "frequencies": 4096, "patience": 500}),
        ("ncfm", "tinyimagenet", 50, {"student_passes": 40, "shared_state": False, "amplitude": 0.5, "phase": 0.5}),
    ],
)  # fmt: skip
def test_paper_presets_are_the_authors_settings(name, dataset, ipc, expected):
    found = choose(installed().methods.get(name), dataset, Budget(ipc=ipc), "paper")
    params = {"idm": IDMParams, "dance": DANCEParams, "ncfm": NCFMParams}[name].model_validate(found.params)
    assert {key: getattr(params, key) for key in expected} == expected
