"""Inputs that nobody thought of: each ends in an exit code and one line, never in a traceback, a hang or 2 GB.

``DDBENCH_FUZZ`` says how many of each kind (200), ``DDBENCH_FUZZ_SEED`` which ones (0); both are printed, and a failure
names the input's number, by which it is made again: ``DDBENCH_FUZZ_SEED=3/suites/17 DDBENCH_FUZZ=1``. Commands are
called in this process, one after another, so that an input takes milliseconds: 100,000 are an hour of one core
(``TMPDIR=/dev/shm`` spares it the disk).
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import click
import numpy as np
import pytest
import torch
import yaml

from ddbench.cli import invoke
from ddbench.cli.root import root
from ddbench.core.records import Record
from ddbench.core.store.folder import CONDENSE
from tests.factories import decided, demo, imported, keyed
from tests.fuzz.mutate import WORDS, damaged, mutated, value
from tests.fuzz.sources import archives, data_files, folders

N, SEED = int(os.environ.get("DDBENCH_FUZZ", "200")), os.environ.get("DDBENCH_FUZZ_SEED", "0")
ROOT = Path(__file__).parents[2]
SECONDS, MEMORY_MB = 10.0, 2048
Case = Callable[[Random, Path], list[str]]

SUITE = {
    "schema": 1, "methods": ["dm", {"name": "kmeans", "label": "k", "params": {"init": "x"}}], "datasets": ["digits"],
    "budget": {"ipc": [1, 2]}, "archs": ["convnet2-w32-in"], "eval_archs": ["mlp-w128-nn"], "preprocess": ["meanstd"],
    "protocols": ["hard", "native"], "seeds": {"condense": 2, "evaluate": 1, "random": 3}, "profile": "smoke",
    "controls": True, "master_seed": 3, "set": {"dm": {"iterations": 5}}, "exclude": [{"method": "dm", "ipc": 2}],
}  # fmt: skip
SUITE["methods"][1].pop("params")  # type: ignore[index,union-attr]
FORMATS = ("table", "markdown", "latex", "csv", "json")
VIEWS = ("main", "scores", "cost", "regime", "ranks", "stability", "failures", "lossless", "verdicts", "crossing")


def suites(rng: Random, folder: Path) -> list[str]:
    tree = mutated(rng, SUITE)
    text = yaml.safe_dump(tree, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")
    (folder / "s.yaml").write_bytes(damaged(rng, text) if rng.random() < 0.3 else text)
    return ["plan", "--suite", "s.yaml", *(["--seeds", "1"] if rng.random() < 0.2 else [])]


OUTSIDE = ("/", "~", "../..")
"""Words that no command line here may name as its folder: some commands write and remove there."""
COMMANDS = (
    "plan", "list methods", "list archs", "describe", "results show", "results verify", "results rm", "results claims",
    "show", "data list", "data prepare", "plugin list", "plugin new", "leaderboard check", "artifacts list", "env",
    "import", "export", "plot ipc", "plot cost", "",
)  # fmt: skip
"""Without those that compute: whatever a mutated line says, it is planned or refused."""


@functools.cache
def _options(command: str) -> list[str]:
    """The options of a command."""
    found: click.Command | None = root
    for name in command.split():
        if not isinstance(found, click.Group):  # an argument
            break
        found = found.get_command(click.Context(found), name)
    assert found is not None
    return [option for parameter in found.params for option in parameter.opts if option.startswith("--")]


def command_lines(rng: Random, folder: Path) -> list[str]:
    command = rng.choice(COMMANDS)
    words = [*(word.replace("\ud800", "\udce9") for word in WORDS if "\0" not in word and word not in OUTSIDE), "dm,random", "1,10", "0.1", "dm.iterations=2", "smoke",
             "dm.lr_img=" + rng.choice(["[" * 90, "1e999", "!!set {a}", "x: y"]), "digits=npz:x.npz", "table", "csv",
             "main,cost", "2", "convnet2-w32-in", "meanstd", "theirs", "x.html", "digits.val"]  # fmt: skip
    arguments = {"plan": ["--methods", "dm", "--ipc", "1"], "describe": ["dm"], "data prepare": ["digits"]}.get(
        command, []
    )
    arguments = arguments if rng.random() < 0.7 else []
    for _ in range(rng.randrange(4)):
        option = rng.choice(_options(command) or ["--x"]) if rng.random() < 0.9 else "--x"
        arguments = arguments + ([option, rng.choice(words)] if rng.random() < 0.8 else [rng.choice(words)])
    return [*command.split(), *arguments]


@functools.cache
def _made(run: Callable[[], list[Record]]) -> tuple[str, ...]:
    """The records of a run as JSON, with the keys of their documents; a set stands before its evaluation."""
    return tuple(record.to_json(indent=None) for record in keyed(run()))


def _some(rng: Random, run: Callable[[], list[Record]], n: int) -> list[str]:
    """Some records of a run in its order: whole rows of it and single ones, so that tables have cells and holes."""
    every = _made(run)
    start = rng.randrange(len(every))
    return [*every[start : start + n], *rng.sample(every, 2)]


def _rekeyed(content: Any) -> Any:
    """The same JSON with the keys that its document has, where it is a record at all: what a careful forger writes.

    The seal goes first: nobody misses it in a record, older ones have none.
    """
    if isinstance(content, dict):
        content.pop("seal", None)
    try:
        (record,) = keyed([Record.from_json(json.dumps(content), "here")])
        return json.loads(record.to_json())
    except Exception:
        return content


def _place(folder: Path, content: Any) -> Path:
    """Where a results folder has the record of this JSON; a ValueError for keys that name no file of this folder."""
    spec = content["spec"]
    if spec["kind"] != "evaluation":
        return folder / _stem(spec["key"]) / CONDENSE
    return folder / _stem(spec["set"]["key"]) / "eval" / f"{_stem(content['key'])}.json"


def _stem(key: str) -> str:
    int(key[:16], 16)
    return key[:16]


def records(rng: Random, folder: Path) -> list[str]:
    made = [text for text in _some(rng, rng.choice([demo, imported, decided]), 12) if json.loads(text)["key"]]
    made = made or list(_made(decided)[:4])
    files = {_place(folder / "r" / "digits", json.loads(text)): text.encode() for text in made}
    first = next(iter(files))
    for path in rng.sample(list(files), min(2, len(files))):
        raw = files[path]
        if rng.random() < 0.3:
            files[path] = damaged(rng, raw)
            continue
        content = mutated(rng, json.loads(raw))
        place = path
        if rng.random() < 0.7:
            content = _rekeyed(content)
            with contextlib.suppress(Exception):
                place = _place(folder / "r" / "digits", content)
        files[place] = json.dumps(content).encode("utf-8", "surrogatepass")
    for path, raw in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    style = rng.choice(FORMATS)
    what = rng.randrange(5)
    if what == 0:
        key = (first.parent if first.name == CONDENSE else first).stem
        return ["results", "verify", key, "--files-only", "--out", "r"]
    if what == 1:
        return ["results", "export", "--all", "--out", "r", "--to", "r.jsonl"]
    if what == 2:
        return rng.choice(
            [["results", "page", "--to", "r.html", "--out", "r"], ["results", "rm", first.parent.name, "--out", "r"],
             ["show", first.parent.name, "--out", "r"], ["results", "claims", str(ROOT / "leaderboards" / "claims-pruning.yaml"), "--out", "r"]]
        )  # fmt: skip
    views = rng.sample([v for v in VIEWS if style != "csv" or v in ("main", "scores", "cost")], 2)
    return ["results", "show", "--out", "r", "--format", style, "--views", ",".join(views)]


def foreign_sets(rng: Random, folder: Path) -> list[str]:
    images: Any = torch.rand(10, 1, 8, 8, generator=torch.Generator().manual_seed(rng.randrange(99)))
    labels: Any = torch.arange(10)

    def odd(tensor: torch.Tensor) -> Any:
        return rng.choice(
            [*[lambda t: t] * 12, lambda t: t.to(rng.choice([torch.complex64, torch.bool, torch.float16, torch.int32])),
             lambda t: t.to_sparse(), lambda t: t.to("meta"), lambda t: t[:0], lambda t: t.flatten(), lambda t: t[0],
             lambda t: t.reshape(-1)[:1].reshape([1] * t.ndim).expand(rng.choice([10**6, 10**12]), *t.shape[1:]),
             lambda t: t * float("nan"), lambda t: t * 1e38 * 1e38, lambda t: torch.quantize_per_tensor(
                 t.float(), 0.1, 0, torch.quint8), lambda t: t.tolist(), lambda t: None, lambda t: t.T if t.ndim == 2
             else t.transpose(0, -1), lambda t: t.to(torch.float8_e4m3fn), lambda t: -t, lambda t: t.squeeze()]
        )(tensor)  # fmt: skip

    form = rng.choice(["pt", "dc", "npz", "trajectory"])
    one = rng.random() < 0.5
    images, labels = odd(images) if one else images, labels if one else odd(labels)
    name = "s.npz" if form == "npz" else "s.pt"
    if form == "npz":
        arrays = {"images": np.asarray(images.numpy() if isinstance(images, torch.Tensor) and _dense(images) else 3)}
        arrays["labels"] = np.asarray(labels.numpy() if isinstance(labels, torch.Tensor) and _dense(labels) else [1.5])
        np.savez(folder / name, **arrays)
    elif form == "trajectory":
        name = "images_best.pt"
        torch.save(images, folder / name)
        torch.save(labels, folder / "labels_best.pt")
        torch.save(value(rng) if rng.random() < 0.5 else odd(torch.tensor([0.1])), folder / "lr_best.pt")
    else:
        content = {"images": images, "labels": labels} if form == "pt" else {"data": [[images, labels]]}
        torch.save(mutated(rng, content) if rng.random() < 0.2 else content, folder / name)
    if rng.random() < 0.2:
        (folder / name).write_bytes(damaged(rng, (folder / name).read_bytes()))
    flags = rng.choice(
        [[], ["--range", "01"], ["--range", "255"], ["--range", "normalised"], ["--preprocess", "meanstd"]]
    )
    return ["import", name, "--dataset", "digits", *flags, *rng.choice([[], ["--labels", "logits"]])]


def _dense(tensor: torch.Tensor) -> bool:
    plain = tensor.layout == torch.strided and not (tensor.is_meta or tensor.is_quantized) and tensor.numel() < 10**7
    return plain and tensor.dtype not in (torch.float8_e4m3fn, torch.bfloat16)


@functools.cache
def _published(name: str) -> Any:
    return yaml.safe_load((ROOT / "leaderboards" / name).read_text(encoding="utf-8"))


def _fewer(rng: Random, tree: Any) -> Any:
    """A copy whose lists have three entries at most: what they hold is alike, and YAML of all takes its time."""
    if isinstance(tree, dict):
        return {name: _fewer(rng, item) for name, item in tree.items()}
    if not isinstance(tree, list):
        return tree
    start = rng.randrange(max(1, len(tree) - 2))
    return [_fewer(rng, item) for item in tree[start : start + 3]]


def pages(rng: Random, folder: Path) -> list[str]:
    markers = [f"table records=r.jsonl views={','.join(rng.sample(VIEWS, 2))}", "table records=r.jsonl"]
    markers += ["ledger published=p.yaml records=r.jsonl", "claims claims=c.yaml records=r.jsonl"]
    marker = rng.choice(markers) if rng.random() < 0.9 else rng.choice(["table records=r.jsonl x=y", "table", "x"])
    lines = []
    for text in _some(rng, rng.choice([demo, decided]), 24):
        if rng.random() < 0.2:
            content = json.loads(text)
            word = rng.choice([w for w in WORDS if w != "\ud800"])
            content["spec"]["label"] = word
            content["warnings"], content["reason"] = [word], content["reason"] and word
            content["spec"].get("facts", {})["notes"] = [word]
            lines.append(json.dumps(_rekeyed(mutated(rng, content)) if rng.random() < 0.3 else content))
            continue
        lines.append(text)
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    (folder / "r.jsonl").write_bytes(damaged(rng, text) if rng.random() < 0.2 else text)
    for name, source in (("p.yaml", "published.yaml"), ("c.yaml", "claims-pruning.yaml")):
        if name in marker:
            raw = yaml.safe_dump(mutated(rng, _fewer(rng, _published(source)))).encode("utf-8", "surrogatepass")
            (folder / name).write_bytes(damaged(rng, raw) if rng.random() < 0.2 else raw)
    page = f"# a\n\n<!-- ddbench:{marker} -->\n<!-- ddbench:end -->\n\nlast\n".encode()
    (folder / "p.md").write_bytes(damaged(rng, page) if rng.random() < 0.1 else page)
    return ["leaderboard", rng.choice(["render", "check"]), "p.md"]


KINDS: dict[str, Case] = {
    case.__name__: case for case in (suites, command_lines, records, foreign_sets, pages, data_files, folders, archives)
}


class Slow(BaseException):
    """An input took too long; no command may catch it."""


def _too_slow(*_: object) -> None:
    raise Slow


def outcome(arguments: list[str]) -> tuple[int | str, str]:
    """Exit code and stderr of a command line; the name of what was raised instead of a code."""
    out, err = io.StringIO(), io.StringIO()
    # Other processes may hold the cores, so of the wall an input has long; waiting for nothing ends all the same.
    timers = ((signal.SIGPROF, signal.ITIMER_PROF, 2 * SECONDS), (signal.SIGALRM, signal.ITIMER_REAL, 30 * SECONDS))
    before = [signal.signal(number, _too_slow) for number, _, _ in timers]
    for _, timer, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            return invoke(arguments), err.getvalue()
    except Slow:
        return "hangs", err.getvalue()
    except SystemExit as ended:
        return f"SystemExit {ended.code}", err.getvalue()
    except BaseException as error:
        import traceback

        return f"{type(error).__name__}: {error}", traceback.format_exc()
    finally:
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def problem(code: int | str, said: str, seconds: float) -> str | None:
    """What is wrong with how an input ended; None: nothing."""
    if code not in (0, 1, 2):
        return f"ended with {code}"
    if "a defect of" in said or "Traceback" in said:
        return next(line for line in said.splitlines() if "a defect of" in line or "Traceback" in line)
    if code == 2 and not said.strip():
        return "refused without a word"
    return f"took {seconds:.0f} CPU seconds" if seconds > SECONDS else None


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", KINDS)
def test_every_input_ends_in_a_code_and_a_line(kind, tmp_path, fresh_home, monkeypatch):
    wrong, codes = [], Counter[int | str]()
    for i in range(N):
        seed = SEED if "/" in SEED else f"{SEED}/{kind}/{i}"
        if seed.split("/")[1] != kind:
            pytest.skip("another kind is made again")
        folder = tmp_path / "input"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        monkeypatch.chdir(folder)
        arguments = KINDS[kind](Random(seed), folder)
        began = time.process_time()
        code, said = outcome(arguments)
        codes[code] += 1
        if (what := problem(code, said, time.process_time() - began)) is not None:
            wrong.append(f"{seed}: {' '.join(arguments)[:200]!r}: {what[:300]}")
    print(f"fuzz: {N} {kind}, seed {SEED}: exit codes {dict(codes)}", file=sys.stderr)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert not wrong, f"{len(wrong)} of {N}:\n" + "\n".join(wrong[:20])
    assert peak < MEMORY_MB, f"{peak:.0f} MB"
