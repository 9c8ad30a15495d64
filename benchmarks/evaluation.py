"""A student trained on a condensed set, and its accuracy on test images: `python -m benchmarks.evaluation`."""

from __future__ import annotations

from benchmarks.kit import peers
from benchmarks.kit.case import CLASSES, Case
from benchmarks.kit.row import Goal, Row
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

TEST = 500

ROWS = [
    Row(
        f"evaluation ipc {ipc} w{width}",
        f"a student: 10 updates on {10 * ipc} images, then {TEST:,} test images; ConvNet-3 of width {width}",
        Case(ipc=ipc, width=width, updates=10), "benchmarks.evaluation", (Goal("ratio", 2.0),), peers.DC,
    )
    for ipc, width in ((1, 32), (10, 128))
]  # fmt: skip


def ours(case: Case, turns: Turns) -> None:
    from types import SimpleNamespace

    from benchmarks.kit.ours import apply_engine

    apply_engine(case)
    import torch

    from benchmarks.kit.plain import Problem
    from ddbench.core.sets import CondensedSet, Recipe, StorageBytes
    from ddbench.models import build_model
    from ddbench.work.evaluate.inputs import Inputs
    from ddbench.work.evaluate.metrics import accuracy, predict_all
    from ddbench.work.evaluate.params import BATCH, SGDParams
    from ddbench.work.evaluate.sgd import SGDProtocol

    problem = Problem(case)
    condensed = CondensedSet(
        images=problem.images.detach(), labels=problem.labels, label_space="hard", preprocess=None,  # type: ignore[arg-type]
        recipe=Recipe(), storage=StorageBytes(images=0),
    )  # fmt: skip
    params = SGDParams(
        updates=case.updates, batch=min(BATCH, len(condensed)), lr=(0.01,), drop_after=case.updates // 2 + 1, flip=True
    )
    device, facts = torch.device(case.device), SimpleNamespace(classes=CLASSES)
    inputs = Inputs(params, 0.01, None, None, None, facts, device)  # type: ignore[arg-type]
    seeds = iter(range(10**9))

    def student(seed: int) -> torch.nn.Module:
        net = build_model(case.arch, channels=case.channels, classes=CLASSES, size=case.size, seed=seed)
        return net.to(device)

    def step() -> None:
        predictor = SGDProtocol().fit(condensed, student, next(seeds), inputs)
        logits = predict_all(predictor, lambda index: problem.x[index.to(device)], TEST, device)
        accuracy(logits, problem.y[:TEST])

    turns.serve(step)


def reference(case: Case, turns: Turns) -> None:
    import torch

    from benchmarks.kit.plain import Problem
    from tests.parity.reference.training import sgd_step

    problem = Problem(case)
    images, n = problem.images.detach(), len(problem.images)

    def step() -> None:
        net = problem.net().train()
        velocities = [torch.zeros_like(parameter) for parameter in net.parameters()]
        for done in range(case.updates):
            index = torch.randperm(n, generator=problem.draws)[:256].to(images.device)
            lr = 0.01 if done <= case.updates // 2 else 0.001
            seen, labels = problem.augmented(images[index]), problem.labels[index]
            sgd_step(net, velocities, seen, labels, lr=lr, momentum=0.9, weight_decay=5e-4)
        with torch.no_grad():
            found = torch.cat([net(part).argmax(1) for part in problem.x[:TEST].split(256)])
        (found == problem.y[:TEST]).float().mean().item()

    turns.serve(step)


def authors(case: Case, turns: Turns) -> None:
    import types

    import torch

    from benchmarks.kit.data import training_images
    from benchmarks.kit.plain import Problem

    utils, networks = peers.load(peers.DC, case, "utils", "networks")
    problem = Problem(case)
    tests = utils.TensorDataset(*(part[:TEST] for part in training_images(case)))
    loader = torch.utils.data.DataLoader(tests, batch_size=256, shuffle=False)
    per_epoch = -(-len(problem.images) // 256)
    args = types.SimpleNamespace(
        device=case.device, lr_net=0.01, epoch_eval_train=case.updates // per_epoch - 1, dsa=True, batch_train=256,
        dsa_strategy=peers.STRATEGY, dsa_param=utils.ParamDiffAug(), dc_aug_param=None,
    )  # fmt: skip
    side = (case.size, case.size)

    def step() -> None:
        net = networks.ConvNet(
            case.channels, CLASSES, case.width, case.depth, "relu", "instancenorm", "avgpooling", side
        )
        utils.evaluate_synset(0, net, problem.images.detach(), problem.labels, loader, args)

    turns.serve(step)


if __name__ == "__main__":
    main(ROWS)
