"""One process of all cores against one process of one thread for each core: `python -m benchmarks.sharing`.

What `ddbench.ArchInfo.narrow` rests on. Students of several widths, image sizes and batches are trained by both ways in
turns. A row is the wall time for the updates of as many students as there are cores: one after the other with all
threads, or all at once with one thread each. Above 1, processes of one thread are faster.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from statistics import median

from tabulate import tabulate

from ddbench.core.cpu import cores

NETS = ("convnet2-w32 8 10", "convnet2-w32 8 256", "convnet2-w32 14 100", "convnet3-w32 28 100", "convnet3-w64 28 256",
        "convnet3-w128 32 10", "convnet3-w128 32 256", "mlp-w128 28 256", "lenet 28 256", "resnet18-w16 32 64",
        "vgg11-w16 32 64")  # fmt: skip
"""Network, pixels on a side, images per batch."""


def main() -> None:
    """Print a row per network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one student with one thread, about")
    parser.add_argument("--one", nargs=5, metavar=("NET", "SIZE", "BATCH", "THREADS", "SECONDS"))
    options = parser.parse_args()
    if options.one:
        serve(*options.one)
        return
    rows = [row(*net.split(), options) for net in NETS]
    print(f"{cores()} cores, medians of {options.repeats}")
    print(tabulate(rows, headers="keys", floatfmt=".2f", tablefmt="github"))


def row(net: str, size: str, batch: str, options: argparse.Namespace) -> dict[str, object]:
    """Both ways in turns."""
    many = cores()
    whole, single = ([Student(net, size, batch, n, options) for _ in range(k)] for n, k in ((many, 1), (1, many)))
    updates = single[0].updates
    times: dict[str, list[float]] = {"whole": [], "single": []}
    for _ in range(options.repeats + 1):
        for name, students in (("whole", whole * many), ("single", single)):
            start = time.perf_counter()
            if name == "whole":
                for student in students:
                    student.train(updates)
                    student.wait()
            else:
                for student in students:
                    student.train(updates)
                for student in students:
                    student.wait()
            times[name].append(time.perf_counter() - start)
    for student in (*whole, *single):
        student.process.kill()
    slow, fast = median(times["whole"][1:]), median(times["single"][1:])
    shown = {"network": net, "pixels": int(size), "batch": int(batch), "updates": updates * many}
    return shown | {"all threads [s]": slow, "one thread each [s]": fast, "ratio": slow / fast}


class Student:
    """A process that trains when it is told to."""

    def __init__(self, net: str, size: str, batch: str, threads: int, options: argparse.Namespace) -> None:
        command = [sys.executable, "-m", "benchmarks.sharing", "--one", net, size, batch, str(threads)]
        env = os.environ | {"OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [*command, str(options.seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        self.updates = int(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def train(self, updates: int) -> None:
        """Begin with so many updates."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(updates)}\n")
        self.process.stdin.flush()

    def wait(self) -> None:
        """Until they are done."""
        self._line()


def serve(net: str, size: str, batch: str, threads: str, seconds: str) -> None:
    """Say how many updates take so many seconds; then train as many as each line of stdin says."""
    import torch

    from ddbench.blocks.augment import DSA
    from ddbench.blocks.training import Trainer, TrainingRecipe
    from ddbench.models import build_model
    from ddbench.work.engine import Engine

    Engine(device="cpu", threads=int(threads)).apply()
    n, draws = int(batch), torch.Generator().manual_seed(0)
    channels = 1 if int(size) != 32 else 3
    model = build_model(net, channels=channels, classes=10, size=int(size), seed=0).train()
    images, classes = torch.randn(n, channels, int(size), int(size)), torch.arange(n) % 10
    dsa = DSA.for_dataset(flip=False)
    trainer = Trainer(
        model, lambda index: dsa(images[index], dsa.draw(draws, n=len(index))), classes,
        TrainingRecipe(updates=10**9, lr=0.01, batch=n), order=draws,
    )  # fmt: skip
    for _ in range(3):
        trainer.update()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < float(seconds):
        trainer.update()
        done += 1
    print(done, flush=True)
    for line in sys.stdin:
        for _ in range(json.loads(line)):
            trainer.update()
        print("done", flush=True)


if __name__ == "__main__":
    main()
