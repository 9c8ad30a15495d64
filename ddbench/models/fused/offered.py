"""Which networks may be trained in bfloat16. No torch."""

from __future__ import annotations

IN_BF16: tuple[str, ...] = ("convnet2-w32-in", "convnet3-w32-in", "convnet3-w128-in")
"""Those that paired trainings on digits and FashionMNIST showed to be as accurate (docs/explanation/precision.md).

``python -m benchmarks.precision`` measures it: at least six seeds, and a difference beyond 0.5 points excluded on both.
"""
