"""An expert's trajectory as it is stored: by ddbench, and by the authors of trajectory methods. A random walk."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from benchmarks.kit.case import CLASSES, Case
from benchmarks.kit.places import work

SNAPSHOTS = 6


def pool(case: Case) -> tuple[Path, Path]:
    """The folder of ddbench's ``expert_000.safetensors``, and that below which the authors' code finds its buffers."""
    import torch
    from safetensors.torch import save_file

    from ddbench.models import build_model

    folder = work() / f"pool_{case.arch}_{case.channels}x{case.size}"
    ours, theirs = folder / "ours", folder / "theirs"
    with FileLock(work() / f"{folder.name}.lock"):
        if not (ours / "expert_000.safetensors").exists():
            buffers = theirs / "FashionMNIST" / "ConvNet"
            for path in (ours, buffers):
                path.mkdir(parents=True, exist_ok=True)
            net = build_model(case.arch, channels=case.channels, classes=CLASSES, size=case.size, seed=0)
            draws, now = torch.Generator().manual_seed(0), [p.detach() for p in net.parameters()]
            steps = [now]
            for _ in range(SNAPSHOTS - 1):
                now = [p + 0.01 * torch.randn(p.shape, generator=draws) for p in now]
                steps.append(now)
            torch.save([steps], buffers / "replay_buffer_0.pt")
            flat = torch.stack([torch.cat([p.reshape(-1) for p in step]) for step in steps])
            tensors = {"snapshots": flat, "train_top1": torch.linspace(10, 60, SNAPSHOTS)}
            save_file(tensors, ours / "expert_000.safetensors")
    return ours, theirs
