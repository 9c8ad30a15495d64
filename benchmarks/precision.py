"""Is a network that is trained in bfloat16 as accurate? Paired trainings: `python -m benchmarks.precision`.

Each seed trains twice, in float32 (engine fused) and in bfloat16, from the same initialisation, with the same order and
augmentation, by the recipe of `full` (SGD with momentum .9, weight decay 5e-4, DSA, learning rate .01 that drops after
half of the updates) or of experts (plain SGD). Both predict in float32. No test image is seen: what is held out are
images of train and val, others for each seed. Prints a line for each seed, and the row of
docs/explanation/precision.md: the mean difference bf16 - fp32 with its 95 % t-interval and both one-sided tests against
a margin of 0.5 points, and the ratio of the CPU seconds of training.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from statistics import fmean, median, stdev

import torch
from scipy.special import stdtr, stdtrit
from tabulate import tabulate

from ddbench.blocks.augment import DSA
from ddbench.blocks.training import Trainer, TrainingRecipe
from ddbench.core.api import DatasetInfo
from ddbench.core.plugin.loader import active
from ddbench.data.dataset import open_data
from ddbench.data.space.split import Split, open_whole
from ddbench.models import build_model
from ddbench.results.stats.intervals import MARGIN
from ddbench.work.allocator import keep_freed
from ddbench.work.engine import Engine

BATCH, LR = 256, 0.01


def main() -> None:
    """Train, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--arch", default="convnet2-w32")
    parser.add_argument("--recipe", choices=["full", "experts"], default="full")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--updates", type=int, default=500)
    parser.add_argument("--images", type=int, help="train on so many images; without: on three quarters of all")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    keep_freed()
    data = open_data(given.dataset, None, "default", "meanstd", active())
    whole = open_whole(data.spec, device="cpu")
    n = given.images or len(whole) * 3 // 4
    pairs = []
    for seed in range(given.seeds):
        found = {}
        for engine in ("fused", "bf16") if seed % 2 else ("bf16", "fused"):
            Engine(device="cpu", threads=given.threads, engine=engine).apply()
            found[engine] = trained(given, whole, n, data.info, seed)
        pairs.append((found["fused"], found["bf16"]))
        print(given.dataset, given.arch, given.recipe, seed, found, file=sys.stderr, flush=True)
    what = {"data": given.dataset, "net": given.arch, "recipe": given.recipe, "images": n, "updates": given.updates}
    print(tabulate([what | compared(pairs)], headers="keys", tablefmt="github", disable_numparse=True))


def trained(given: argparse.Namespace, whole: Split, n: int, info: DatasetInfo, seed: int) -> tuple[float, float]:
    """Accuracy on held-out images [%] and CPU seconds of one training."""
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
    mine, held = order[:n], order[n : n + 10_000]
    images, labels = whole.images(mine), whole.labels[mine]
    shape = {"channels": info.channels, "classes": info.classes, "size": info.size}
    net = build_model(given.arch, **shape, seed=seed)
    dsa, draws = DSA.for_dataset(info.flip), torch.Generator().manual_seed(seed)
    momentum, decay = (0.9, 5e-4) if given.recipe == "full" else (0.0, 0.0)
    trainer = Trainer(
        net,
        lambda index: dsa(images[index], dsa.draw(draws, n=len(index))),
        labels,
        TrainingRecipe(
            given.updates, LR, BATCH, "step" if momentum else "constant", -(-given.updates // 2),
            momentum=momentum, weight_decay=decay,
        ),
        order=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    start = time.process_time()
    while trainer.done < given.updates:
        trainer.update()
    seconds = time.process_time() - start
    net.eval()
    with torch.no_grad():
        right = [net(whole.images(part)).argmax(1) == whole.labels[part] for part in torch.split(held, BATCH)]
    return round(100 * float(torch.cat(right).double().mean()), 3), round(seconds, 2)


def compared(pairs: list[tuple[tuple[float, float], tuple[float, float]]]) -> dict[str, str]:
    """Columns of the table: (accuracy, seconds) of float32 and of bfloat16, for each seed."""
    differences = [half[0] - whole[0] for whole, half in pairs]
    n, mean = len(pairs), fmean(differences)
    error = stdev(differences) / math.sqrt(n) or 1e-9
    width = float(stdtrit(n - 1, 0.975)) * error
    p = max(float(stdtr(n - 1, -(MARGIN - side * mean) / error)) for side in (1, -1))
    return {
        "seeds": str(n),
        "fp32 [%]": f"{fmean(whole[0] for whole, _ in pairs):.2f}",
        "bf16 - fp32 [points]": f"{mean:+.2f} [{mean - width:+.2f}, {mean + width:+.2f}]",
        f"p (beyond {MARGIN:g})": f"{p:.1g}",
        "fp32 / bf16 [s]": f"{median(whole[1] / half[1] for whole, half in pairs):.2f}",
    }


if __name__ == "__main__":
    main()
