"""Training steps of a ConvNet, not augmented, and their share of the GEMM rate: `python -m benchmarks.training`."""

from __future__ import annotations

from benchmarks.kit import peers
from benchmarks.kit.case import CLASSES, Case
from benchmarks.kit.row import Goal, Line, Options, Row, paired
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

SIDE = 2048
"""Of the square matrices whose product says what the machine can do."""


def with_gemm_share(row: Row, options: Options) -> Line:
    """Sides in turns, one of which multiplies matrices."""
    line = paired(row, options)
    gemm, ours = (line["sides"].get(side) for side in ("gemm", "ours"))
    if gemm is not None and ours is not None:
        rate = 2 * SIDE**3 / gemm["seconds"]
        line["numbers"] |= {"gemm_gflops": rate / 1e9}
        images = row.case.batch * row.case.updates
        line["numbers"]["gemm_share"] = images * flops(row.case) / ours["seconds"] / rate
    return line


ROWS = [
    Row(
        f"training w{width}", f"2 training steps of 256 images, ConvNet-3 of width {width}",
        Case(width=width, updates=2), "benchmarks.training", (Goal("ratio", 2.0), Goal("gemm_share", share)), peers.DC,
        ("authors", "reference", "ours", "gemm"), measure=with_gemm_share,
    )
    for width, share in ((128, 0.8), (32, 0.5))
]  # fmt: skip

RECIPE = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}


def flops(case: Case) -> float:
    """Of an image's forward and backward pass, multiplications and additions of convolutions and of the last layer."""
    side, channels, total = case.size, case.channels, 0.0
    for block in range(case.depth):
        out = side + 4 if block == 0 and case.channels == 1 and case.size == 28 else side  # padded to 32 there
        forward = 2 * 9 * out * out * channels * case.width
        total += forward * (3 if block else 2)  # nobody asks for the gradient of the images
        channels, side = case.width, out // 2
    return total + 3 * 2 * channels * side * side * CLASSES


def ours(case: Case, turns: Turns, *, augment: bool = False, recipe: dict[str, float] = RECIPE) -> None:
    """Ddbench's trainer; experts' batches are augmented, and their recipe is another."""
    from benchmarks.kit.ours import apply_engine

    apply_engine(case)
    import torch

    from benchmarks.kit.plain import Problem
    from ddbench.blocks.training import Trainer, TrainingRecipe

    n = case.batch * case.updates
    problem = Problem(case)
    x, y = problem.x[:n], problem.y[:n]
    trainer = Trainer(
        problem.net().train(), lambda index: problem.augmented(x[index]) if augment else x[index], y,
        TrainingRecipe(10**9, batch=case.batch, **recipe), order=torch.Generator().manual_seed(0),
    )  # fmt: skip

    def step() -> None:
        for _ in range(case.updates):
            trainer.update()

    turns.serve(step)


def reference(case: Case, turns: Turns, *, augment: bool = False, recipe: dict[str, float] = RECIPE) -> None:
    """The formula of SGD."""
    import torch

    from benchmarks.kit.plain import Problem
    from tests.parity.reference.training import sgd_step

    n = case.batch * case.updates
    problem = Problem(case)
    net = problem.net().train()
    velocities = [torch.zeros_like(parameter) for parameter in net.parameters()]

    def step() -> None:
        for index in torch.randperm(n, generator=problem.draws).to(problem.x.device).split(case.batch):
            images = problem.augmented(problem.x[index]) if augment else problem.x[index]
            sgd_step(net, velocities, images, problem.y[index], **recipe)

    turns.serve(step)


def authors(
    case: Case, turns: Turns, *, repository: str = peers.DC, augment: bool = False, recipe: dict[str, float] = RECIPE
) -> None:
    """An epoch of theirs over as many images."""
    import types

    import torch

    from benchmarks.kit.data import training_images

    utils, networks = peers.load(repository, case, "utils", "networks")
    x, y = (part[: case.batch * case.updates] for part in training_images(case))
    side = (case.size, case.size)
    net = networks.ConvNet(
        case.channels, CLASSES, case.width, case.depth, "relu", "instancenorm", "avgpooling", side
    ).to(case.device)  # fmt: skip
    optimiser = torch.optim.SGD(net.parameters(), **recipe)
    loss = torch.nn.CrossEntropyLoss()
    loader = torch.utils.data.DataLoader(utils.TensorDataset(x, y), batch_size=case.batch, shuffle=True, num_workers=0)
    args = types.SimpleNamespace(
        device=case.device, dsa=augment, dsa_strategy=peers.STRATEGY, dsa_param=utils.ParamDiffAug(), dc_aug_param=None,
        dataset="FashionMNIST",
    )  # fmt: skip
    turns.serve(lambda: utils.epoch("train", loader, net, optimiser, loss, args, augment))


def gemm(case: Case, turns: Turns) -> None:
    """A product of two square float32 matrices."""
    import torch

    torch.set_num_threads(case.threads)
    a, b = (torch.randn(SIDE, SIDE, device=case.device) for _ in range(2))
    turns.serve(lambda: torch.mm(a, b))


if __name__ == "__main__":
    main(ROWS)
