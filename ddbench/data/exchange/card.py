"""The dataset card of a set that leaves as Hugging Face has data: what it is, how it was made, how students fared."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import yaml

from ddbench.core.bibtex import bibliography
from ddbench.core.documents import CellDocument
from ddbench.core.infos import IMPORTED, MethodInfo
from ddbench.core.keys import short
from ddbench.core.plugin.registry import Registry
from ddbench.core.records import Record
from ddbench.core.specs import DatasetInfo
from ddbench.core.words import plural

CARD = "README.md"
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
_SPDX = re.compile(r"(CC BY(?:-[A-Z]{2})* \d\.\d|CC0 1\.0|MIT|Apache 2\.0)\b")
"""Licences that the Hub knows, as data sets name them."""


def card(
    record: Record,
    evaluations: Sequence[Record],
    info: DatasetInfo,
    n: int,
    manifest: str,
    notes: Sequence[str],
    known: Registry[MethodInfo],
) -> str:
    """The text of a card.

    Args:
        record: Of the set.
        evaluations: Of the set.
        info: Its data set.
        n: Its images.
        manifest: Its manifest, as JSON.
        notes: What the user must know of the export.
        known: The methods that there are, for their papers.
    """
    made, facts = record.document.set, json.loads(manifest)
    cell = made.cell
    methods = [cell.method, *([] if made.initial is None else [made.initial.cell.method])]
    parts = [
        f"# {made.label}: {plural(n, 'image')} for {info.name}, {cell.budget.label}",
        f"A condensed training set, {_maker(made, facts)}. `manifest.json` says what each column holds, and how a "
        f"network wants the images: {facts['preprocess']['how']}.",
        *(f"- {note[0].upper()}{note[1:]}." for note in notes),
        "## How it was made",
        _table(["", ""], _facts(record, facts)),
        *_again(record, evaluations),
        *_results(evaluations),
        "## Terms and citation",
        "The terms of the real images may bind a set that is made from them: "
        + (f"{info.licence}." if info.licence else "nobody registered what they are."),
        f"```bibtex\n{bibliography([name for name in methods if name != IMPORTED], known)}```",
    ]
    return f"---\n{_yaml(_front(made, info, n))}---\n\n" + "\n\n".join(parts) + "\n"


def _front(made: CellDocument, info: DatasetInfo, n: int) -> dict[str, Any]:
    """What the Hub reads."""
    licence: dict[str, str] = {}
    if info.licence:
        spdx = _SPDX.match(info.licence)
        licence = {"license": "other", "license_name": info.licence}
        licence = {"license": spdx[1].lower().replace(" ", "-")} if spdx else licence
    size = next((name for most, name in _SIZES if n < most), "n>1M")
    return {
        "pretty_name": f"{made.label}, {info.name}, {made.cell.budget.label}",
        **licence,
        "task_categories": ["image-classification"],
        "size_categories": [size],
        "tags": ["dataset-distillation", "ddbench", *dict.fromkeys([made.called, info.name])],
        "configs": [{"config_name": "default", "data_files": "data/*.parquet"}],
    }


def _maker(made: CellDocument, facts: dict[str, Any]) -> str:
    if made.cell.method == IMPORTED:
        return f"made elsewhere and brought into ddbench {facts['ddbench']}, which knows nothing of how it was made"
    return f"made by method `{made.called}` of ddbench {facts['ddbench']}"


def _facts(record: Record, facts: dict[str, Any]) -> list[list[str]]:
    cell, env = record.document.cell, record.env
    rows = [["key, sha256 of the set", f"`{record.key}`, `{record.set_sha256}`"]]
    if cell.method != IMPORTED:
        rows += [
            ["method", f"`{cell.method}` version {cell.method_version} ({cell.origin})"],
            ["parameters", f"`{json.dumps(cell.params, ensure_ascii=False)}`"],
        ]
    view = "" if cell.data.view is None else f", view `{json.dumps(cell.data.view)}`"
    seeds = f"master seed {cell.master}, repetition {cell.r}"
    versions = [f"{name} {env[name]}" for name in ("ddbench", "git", "torch", "python", "engine") if env.get(name)]
    machine = [str(device)] if (device := env.get("device")) else []
    machine += [plural(threads, "CPU thread")] if (threads := env.get("threads")) else []
    return [
        *rows,
        ["data", f"`{cell.data.name}` revision `{cell.data.revision}`, split {cell.data.split}{view}"],
        ["budget, network, seeds", f"{cell.budget.label}, `{cell.arch}`, {seeds}"],
        ["preprocessing", f"`{cell.data.preprocess}`"],
        ["made with", ", ".join([*versions, *machine]) or "not known"],
        ["bytes", ", ".join(f"{part} {size}" for part, size in facts["bytes"].items())],
    ]


def _again(record: Record, evaluations: Sequence[Record]) -> list[str]:
    """The suite that makes it again: parameters are resolved, so that no preset matters."""
    made = record.document.set
    cell = made.cell
    if cell.method == IMPORTED:
        return []
    rows = [
        {"name": one.called, "params": one.cell.params, "label": one.label}
        for one in (made.initial, made)
        if one is not None
    ]
    data: dict[str, Any] = {"name": cell.data.name}
    protocols = [*dict.fromkeys(one.evaluation.eval.protocol for one in evaluations)]
    suite = {
        "schema": 1,
        "methods": rows,
        "datasets": [data if cell.data.view is None else {**data, "view": [*cell.data.view]}],
        "budget": {name: [value] for name, value in cell.budget.key().items()},
        "archs": [cell.arch],
        "preprocess": [cell.data.preprocess],
        **({"protocols": protocols} if protocols else {}),
        "split": cell.data.split,
        "seeds": {"condense": cell.r + 1},
        "master_seed": cell.master,
        **({"profile": made.profile} if made.profile else {}),
        **({"precision": "bf16"} if made.bf16 else {}),
    }
    threads = f" --threads {record.env['threads']}" if record.env.get("threads") else ""
    what = f"`ddbench run --suite suite.yaml{threads}` makes it again, under the key {short(record.key)}"
    return [f"{what}, where `suite.yaml` holds", f"```yaml\n{_yaml(suite)}```"]


def _results(evaluations: Sequence[Record]) -> list[str]:
    """What students came to, by protocol and network."""
    found: dict[tuple[str, str], list[float]] = {}
    for one in evaluations:
        if one.status == "ok" and one.document.reported:
            place = one.evaluation.protocol, one.evaluation.eval.arch
            found.setdefault(place, []).append(one.metrics["top1"])
    if not found:
        return []
    rows = [
        [protocol, f"`{arch}`", str(len(scores)), f"{fmean(scores):.2f}", ", ".join(f"{x:.2f}" for x in scores)]
        for (protocol, arch), scores in found.items()
    ]
    head = ["protocol", "student", "n", "mean test top-1 %", "each"]
    told = "Students were trained on the set as ddbench stores it, not on this export of it."
    return [
        "## Students",
        _table(head, rows),
        f"{told} One set is no comparison of methods: tables over repetitions are.",
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([text.replace("|", "\\|") for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
