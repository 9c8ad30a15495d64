"""Peak memory and time of one trajectory step over the student's length N: `python -m benchmarks.trajectory_memory`.

Exact (constant memory) against unrolled (all graphs kept), each in a process of its own. FashionMNIST-sized noise, 100
synthetic images, ConvNet-3 of width 32 (`--width`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

from tabulate import tabulate

STEPS = (10, 20, 40, 80)


def main() -> None:
    """Print a row per N."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--one", nargs=2, metavar=("GRADIENTS", "N"), help="run one step and print what it took")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one[0], int(options.one[1]), options.width)))
        return
    rows = []
    for n in STEPS:
        row: dict[str, float] = {"N": n}
        for gradients in ("exact", "unrolled"):
            command = [sys.executable, "-m", "benchmarks.trajectory_memory", "--width", str(options.width), "--one"]
            run = subprocess.run([*command, gradients, str(n)], capture_output=True, text=True, check=True)
            found = json.loads(run.stdout)
            row |= {f"{gradients} [MB]": found["peak_mb"], f"{gradients} [s]": found["seconds"]}
        rows.append(row)
    print(f"one trajectory step, convnet3-w{options.width}, 100 images")
    print(tabulate(rows, headers="keys", floatfmt=(".0f", ".0f", ".2f", ".0f", ".2f"), tablefmt="github"))


def one(gradients: str, n: int, width: int) -> dict[str, float]:
    """Peak memory over the level before [MB], and seconds, of one step."""
    import torch

    from ddbench.blocks.functional import flatten
    from ddbench.blocks.trajectory import match
    from ddbench.models import build_model
    from ddbench.work.allocator import keep_freed
    from ddbench.work.meter import Meter

    keep_freed()
    net = build_model(f"convnet3-w{width}", channels=1, classes=10, size=28, seed=0)
    start = flatten(list(net.parameters()))
    images, labels = torch.randn(100, 1, 28, 28), torch.arange(100) % 10
    batches = [torch.arange(100)] * n

    def step(count: int) -> None:
        match(net, start, start + 0.01, images, labels, 0.01, batches[:count], gradients=gradients)

    step(1)
    meter = Meter()
    began = time.perf_counter()
    with meter.phase("step"):
        step(n)
    return {"peak_mb": meter.peak_mb, "seconds": time.perf_counter() - began}


if __name__ == "__main__":
    main()
