"""Prints the CPU seconds of a fixed piece of numpy work; a script of its own, run by :mod:`ddbench.core.machine`.

Half of the time goes into products of matrices, half into passes over memory: what training small networks is made of.
Imports nothing of ddbench, so that the new process starts at once.
"""

from __future__ import annotations

import time

import numpy as np

TURNS = 5


def main() -> None:
    """Print the seconds of the fastest turn: a busy machine slows some of them down."""
    square = np.linspace(-1, 1, 512 * 512, dtype=np.float32).reshape(512, 512)
    long = np.linspace(-1, 1, 1 << 20, dtype=np.float32)
    found = []
    for _ in range(TURNS):
        began = time.process_time()
        for _ in range(6):
            square @ square
        for _ in range(2):
            scaled = long * 1.01
            np.maximum(scaled, 0, out=scaled)
            scaled.reshape(-1, 4).sum(1)
        found.append(time.process_time() - began)
    print(min(found))


if __name__ == "__main__":
    main()
