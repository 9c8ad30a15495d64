"""The authors' own code, from checkouts: imported as it is, patched where a current torch refuses it.

Nothing of it stands here. ``$PEERS`` is a folder of checkouts named OWNER+NAME. What is patched:

- imports that are gone (``scipy.ndimage.interpolation``, ``np.int``), that only log (``wandb``), or that nothing here
  uses (``kornia``, ``yacs``, ``efficientnet_pytorch``) get stand-ins;
- ``t[:] = t[0]`` and ``view`` copy where they must;
- ``.cuda()`` and ``device="cuda"`` mean the CPU on the CPU.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from benchmarks.kit.case import Case
from benchmarks.kit.places import peer, work
from benchmarks.kit.worker import Turns

DC = "VICO-UoE+DatasetCondensation"
MTT = "GeorgeCazenavette+mtt-distillation"
DATM = "NUS-HPC-AI-Lab+DATM"
TESLA = "justincui03+tesla"
IDC = "snu-mllab+Efficient-Dataset-Condensation"
DEEPCORE = "PatrickZH+DeepCore"

STRATEGY = "color_crop_cutout_flip_scale_rotate"


def enter(repository: str, case: Case, *folders: str) -> None:
    """Put a checkout first on the path of this process, and itself into a scratch folder.

    Args:
        repository: OWNER+NAME.
        case: Says the device and the threads.
        folders: Of the checkout, first on the path as well.
    """
    import torch

    torch.set_num_threads(case.threads)
    _stand_ins()
    _what_torch_refuses(torch)
    if case.device == "cpu":
        _without_cuda(torch)
    root = peer(repository)
    assert root is not None
    sys.path[:0] = [str(root / folder) for folder in (*folders, "")]
    scratch = work() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    os.chdir(scratch)


def load(repository: str, case: Case, *names: str) -> list[Any]:
    """Modules of a checkout."""
    enter(repository, case)
    return [importlib.import_module(name) for name in names]


def _stand_ins() -> None:
    import numpy as np
    import scipy.ndimage

    if not hasattr(np, "int"):
        np.int = int  # type: ignore[attr-defined]
    modules = {
        "scipy.ndimage.interpolation": {"rotate": scipy.ndimage.rotate},
        "kornia": {},
        "efficientnet_pytorch": {"EfficientNet": object},
        "yacs": {},
        "yacs.config": {"CfgNode": _Attributes},
        "wandb": {
            "config": types.SimpleNamespace(_items={}), "run": types.SimpleNamespace(name="none"), "init": _wandb_init,
            "log": _nothing, "finish": _nothing, "Image": _nothing, "Histogram": _nothing,
        },
    }  # fmt: skip
    for name, content in modules.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        sys.modules[name] = module


class _Attributes(dict[str, Any]):
    """Settings by attribute."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Logs nowhere."""


def _wandb_init(*args: Any, config: Any = None, **kwargs: Any) -> None:
    """Their scripts read their own settings back from the log's."""
    items = sys.modules["wandb"].config._items  # type: ignore[attr-defined]
    items.update({} if config is None else vars(config))


def _what_torch_refuses(torch: Any) -> None:
    """``t[:] = t[0]`` reads before it writes, and ``view`` copies what lies otherwise in memory (a batch cropped)."""
    assign, view = torch.Tensor.__setitem__, torch.Tensor.view

    def assigned(self: Any, index: Any, value: Any) -> None:
        try:
            assign(self, index, value)
        except RuntimeError:
            assign(self, index, value.clone())

    def viewed(self: Any, *shape: Any) -> Any:
        try:
            return view(self, *shape)
        except RuntimeError:
            return self.reshape(*shape)

    torch.Tensor.__setitem__, torch.Tensor.view = assigned, viewed


def _without_cuda(torch: Any) -> None:
    """``.cuda()`` stays where it is, and ``torch.tensor(…, device="cuda")`` is on the CPU."""
    for kind in (torch.Tensor, torch.nn.Module):
        kind.cuda = lambda self, *args, **kwargs: self
    made = torch.tensor

    def tensor(*args: Any, device: Any = None, **kwargs: Any) -> Any:
        return made(*args, device="cpu" if device == "cuda" else device, **kwargs)

    torch.tensor = tensor


def hook(turns: Turns, owner: Any, name: str, make: Callable[..., Any], *, skip: int = 0) -> None:
    """Replace a function that begins every iteration: each call ends one step and begins the next.

    Args:
        turns: The pipe.
        owner: Module or class.
        name: Of the function.
        make: What it does.
        skip: Calls before the first iteration.
    """
    calls = 0

    def called(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > skip:
            turns.ready() if calls == skip + 1 else turns.told()
            turns.wait()
        return make(*args, **kwargs)

    setattr(owner, name, called)
