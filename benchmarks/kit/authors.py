"""The authors' main loops, started as they are; an iteration begins when it is asked for, and nothing is evaluated.

Their functions that load data, and those that begin an iteration, are replaced.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

from benchmarks.kit import data, peers
from benchmarks.kit.case import CLASSES, Case
from benchmarks.kit.pool import pool
from benchmarks.kit.worker import Turns

NEVER = 10**7
NAMES = list(range(CLASSES))


def facts(case: Case) -> tuple[Any, ...]:
    """What their ``get_dataset`` says first, up to the training images; the test set is empty."""
    x, y = data.training_images(case)
    pairs = list(zip(x, y.tolist(), strict=True))
    side = (case.size, case.size)
    mean, std = ([value] * case.channels for value in (data.MEAN, data.STD))
    return case.channels, side, CLASSES, NAMES, mean, std, pairs, None, None


def condensation(case: Case, turns: Turns) -> None:
    """DM, DSA and DC."""
    peers.enter(peers.DC, case)
    utils = importlib.import_module("utils")
    main = importlib.import_module("main_DM" if case.method == "dm" else "main")
    found = facts(case)
    vars(main).update(get_dataset=lambda *args: found, get_loops=lambda ipc: (1, 1))
    peers.hook(turns, main, "get_network", utils.get_network)
    options = {
        "dataset": "FashionMNIST", "model": {128: "ConvNet"}.get(case.width, f"ConvNetW{case.width}"), "ipc": case.ipc,
        "batch_real": case.batch, "num_eval": 0, "Iteration": NEVER, "num_exp": 1,
    }  # fmt: skip
    if case.method != "dm":
        options["method"] = case.method.upper()
    if case.method == "dsa":
        options |= {"init": "real", "dsa_strategy": peers.STRATEGY}
    sys.argv = ["main", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
    main.main()


def trajectory(case: Case, turns: Turns) -> None:
    """MTT, TESLA and DATM."""
    options: dict[str, Any] = {
        "dataset": "FashionMNIST", "model": "ConvNet", "subset": "", "res": 128, "data_path": "none", "zca": False,
        "ipc": case.ipc, "batch_syn": case.batch_syn, "syn_steps": case.steps, "expert_epochs": 2, "max_start_epoch": 3,
        "lr_img": 100.0, "lr_lr": 1e-5, "lr_teacher": 0.01, "lr_init": 0.01, "batch_real": 256, "pix_init": "real",
        "buffer_path": str(pool(case)[1]), "Iteration": NEVER, "num_eval": 0, "eval_it": NEVER, "eval_mode": "S",
        "max_files": None, "max_experts": None,
    }  # fmt: skip
    if case.method == "datm":
        peers.enter(peers.DATM, case, "distill")
        utils, main = (importlib.import_module(name) for name in ("utils.utils_baseline", "DATM"))
        settings = dict(importlib.import_module("utils.cfg").CFG) | options
        settings |= {
            "device": [0], "skip_first_eva": True, "batch_train": 128, "min_start_epoch": 0,
            "current_max_start_epoch": 2, "expansion_end_epoch": 1000, "project": "none",
        }  # fmt: skip
    else:
        peers.enter(peers.MTT if case.method == "mtt" else peers.TESLA, case)
        utils, main = (importlib.import_module(name) for name in ("utils", "distill"))
        settings = options | {
            "dsa": "True", "dsa_strategy": peers.STRATEGY, "epoch_eval_train": 1, "batch_train": 256, "load_all": False,
            "no_aug": False, "texture": False, "canvas_size": 2, "canvas_samples": 1, "force_save": False,
            "random_trajectory": False, "teacher_label": False,
        }  # fmt: skip
    found = (*facts(case), {}, {i: i for i in NAMES}, {i: i for i in NAMES})
    vars(main).update(get_dataset=lambda *args, **kwargs: found, tqdm=lambda items, *args, **kwargs: items)
    utils.get_default_convnet_setting = lambda: (case.width, case.depth, "relu", "instancenorm", "avgpooling")
    first_labels = 1 if case.method == "datm" else 0  # a network of theirs says the first labels
    peers.hook(turns, main, "get_network", utils.get_network, skip=first_labels)
    main.main(argparse.Namespace(**settings))


def idc(case: Case, turns: Turns) -> None:
    """IDC, with the settings of its authors for data like MNIST, multi-formation of factor 2."""
    peers.enter(peers.IDC, case)
    sys.argv = [
        "condense", "-d", "fashion", "--ipc", str(case.ipc), "--factor", "2", "--depth", str(case.depth), "--width",
        str(case.width / 128), "--test", "-a", "color_crop_cutout", "--lr_img", "1e-4", "--niter", str(NEVER),
    ]  # fmt: skip
    argument, main, misc = (importlib.import_module(name) for name in ("argument", "condense", "misc.utils"))
    x, y = data.training_images(case)
    real = _Real(x * data.STD + data.MEAN, y.tolist())
    vars(main).update(load_resized_data=lambda args: (real, None), save_img=lambda *args, **kwargs: None)
    if case.device == "cpu":
        main.Synthesizer.__init__.__defaults__ = main.diffaug.__defaults__ = ("cpu",)
        main.ClassMemDataLoader.__init__.__defaults__ = (False, "cpu")
        misc.random_indices.__defaults__ = (CLASSES, False, "cpu")
    peers.hook(turns, misc.TimeStamp, "set", lambda self: None)
    vars(argument.args).update(save_dir=".", time=False)
    main.condense(argument.args, lambda *args: None, device=case.device)


class _Real(list[Any]):
    """A list of (image in 0 … 1, label) with what their loader asks for."""

    def __init__(self, x: Any, y: list[int]) -> None:
        super().__init__(zip(x, y, strict=True))
        self.nclass, self.targets = CLASSES, y
