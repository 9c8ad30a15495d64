"""Results as a pandas frame: one row for each evaluation, one column for each idea."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ddbench.core.records import Record
from ddbench.results.tables.costs import cost_of_cell
from ddbench.results.tables.observations import Observation, observe

if TYPE_CHECKING:
    import pandas as pd

Value = Callable[[Observation, Mapping[str, Any]], Any]


def _cost(name: str) -> Value:
    """As tables have it: nothing of references, which are not condensed; of sets from elsewhere their bytes alone."""

    def value(one: Observation, data: Mapping[str, Any]) -> Any:
        return getattr(cost_of_cell([one]), name)

    return value


COLUMNS: dict[str, tuple[str, Value]] = {
    "dataset": ("name of the data set", lambda one, data: data["name"]),
    "revision": ("hash of its images and labels", lambda one, data: data["revision"]),
    "split": ("default, paper or tune", lambda one, data: data.get("split", "default")),
    "view": ("what is changed of it before anything sees it; None: nothing", lambda one, data: data.get("view")),
    "preprocess": ("space of the images", lambda one, data: data.get("preprocess", "meanstd")),
    "row": ("label of the row in tables", lambda one, data: one.row),
    "role": ("method, or what kind of control the row is", lambda one, data: one.role.kind),
    "method": ("name of the method", lambda one, data: one.method),
    "kind": ("distillation, selection or reference", lambda one, data: one.kind),
    "source": ("measured, imported or reported", lambda one, data: one.source),
    "budget": ("label of its column; `all`: a reference", lambda one, data: one.budget.label if one.budget else "all"),
    "ipc": ("images per class", lambda one, data: one.budget and one.budget.ipc),
    "fraction": ("share of the training images", lambda one, data: one.budget and one.budget.fraction),
    "arch": ("network that the set was condensed with", lambda one, data: one.setting.arch),
    "eval_arch": ("student network", lambda one, data: one.setting.eval_arch),
    "protocol": ("evaluation protocol with its version", lambda one, data: one.setting.protocol),
    "profile": ("smoke, short or paper", lambda one, data: one.setting.profile),
    "repetition": ("r: which condensation", lambda one, data: one.r),
    "student": ("e: which student of it", lambda one, data: one.e),
    "status": ("ok, or why there is no result", lambda one, data: one.status),
    "reason": ("the same in words; empty where ok", lambda one, data: one.reason),
    "top1": ("test accuracy [%]", lambda one, data: one.top1),
    "loss": ("mean cross-entropy on the test images [nat]", lambda one, data: one.metrics.get("loss")),
    "per_class": ("test accuracy of each class [%]", lambda one, data: one.metrics.get("per_class")),
    "train_top1": ("accuracy on the set itself [%]", lambda one, data: one.metrics.get("train_top1")),
    "n_test": ("test images", lambda one, data: one.n_test),
    "updates": ("updates of the student", lambda one, data: one.updates),
    "train_cpu_s": ("to train and test the student [CPU s]", lambda one, data: one.train.get("cpu")),
    "train_s": ("the same [wall s]", lambda one, data: one.train.get("wall")),
    "condense_cpu_s": ("to prepare and condense the set [CPU s]", _cost("condense_cpu_s")),
    "condense_s": ("the same [wall s]", _cost("condense_s")),
    "artifact_cpu_s": ("to build what it can open of the artifacts it read [CPU s]", _cost("artifact_cpu_s")),
    "peak_mb": ("peak memory of condensing, above the start [MB]", _cost("peak_mb")),
    "set_bytes": ("stored bytes of the set", _cost("bytes")),
    "key": ("key of the evaluation; empty: never planned to run", lambda one, data: one.key),
    "set_key": ("key of the set", lambda one, data: one.set_key),
    "finished": ("UTC time, ISO 8601", lambda one, data: one.finished),
}
"""Name → what it is, and where it comes from. None where a record does not say."""


def frame_of(records: Sequence[Record]) -> pd.DataFrame:
    """The frame of records: evaluations, and sets that could not be made, in the order of the tables."""
    import pandas as pd

    rows = []
    for one in observe(records):
        data = json.loads(one.setting.data)
        rows.append({name: value(one, data) for name, (_, value) in COLUMNS.items()})
    return pd.DataFrame(rows, columns=list(COLUMNS))
