"""What ``--resources`` says."""

from __future__ import annotations

from typing import Any

import pytest

from ddbench.core.errors import UsageError
from ddbench.work.executors.base import check_executor
from ddbench.work.executors.wanted import BY_FORECAST, megabytes, wanted_of, words_of


def test_words_with_commas_inside() -> None:
    words = words_of(["cpus=4,mem=8G", "slurm_nodelist=a1,b2,slurm_qos=high"])
    assert words == {"cpus": "4", "mem": "8G", "slurm_nodelist": "a1,b2", "slurm_qos": "high"}
    wanted = wanted_of(words)
    assert (wanted.cpus, wanted.mem_mb, dict(wanted.slurm)) == (4, 8192, {"nodelist": "a1,b2", "qos": "high"})


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [("time=4h", "time_s", 14400), ("time=90", "time_s", 90), ("pack=20s", "pack_s", 20), ("pack=0", "pack_s", 0),
     ("mem=500M", "mem_mb", 500), ("mem=1.5g", "mem_mb", 1536), ("mem=2T", "mem_mb", 2 * 2**20), ("gpus=0", "gpus", 0),
     ("partition=long", "partition", "long"), ("address=ray://head:10001", "address", "ray://head:10001")],
)  # fmt: skip
def test_values(text: str, name: str, value: object) -> None:
    assert getattr(wanted_of(words_of([text])), name) == value


@pytest.mark.parametrize(
    ("texts", "said"),
    [(["cpu=2"], "did you mean cpus"), (["memory=2G"], "there is no 'memory'"),
     (["cores=2"], r"there is no 'cores'\. There are: cpus, gpus"), (["cpus=0"], "cpus=0: Input should be"),
     (["cpus=two"], "cpus=two: "), (["mem=lots"], "'lots' is not an amount of memory"), (["time=soon"], "not a duration"),
     (["time=0"], "time=0: Input should be greater than 0"), (["mem"], "not of the form"), (["=4"], "not of the form"), (["cpus="], "not of the form"), ([""], "not of the form"),
     (["cpus=1", "cpus=2"], "both '1' and '2'"), (["gpus=-1"], "gpus=-1: "), (["mem=-3G"], "amount of memory")],
)  # fmt: skip
def test_what_is_wrong_is_named(texts: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        wanted_of(words_of(texts))


def test_resources_are_for_clusters() -> None:
    with pytest.raises(UsageError, match="on a cluster"):
        check_executor("processes", None, "cpu", wanted_of({"cpus": "2"}))
    with pytest.raises(UsageError, match="on a cluster"):
        check_executor(None, None, "cpu", wanted_of({}, "driver"))
    check_executor("processes", None, "cpu", BY_FORECAST)


@pytest.mark.parametrize(
    ("executor", "words", "store", "said"),
    [
        ("slurm", {"address": "auto"}, "shared", "--resources address says nothing to --executor slurm: it is for ray"),
        ("slurm", {}, "driver", "--store driver says nothing to --executor slurm: it is for ray"),
        (
            "ray",
            {"partition": "long"},
            "shared",
            "--resources partition says nothing to --executor ray: it is for slurm",
        ),
        ("ray", {"time": "4h"}, "shared", "--resources time says"),
        ("ray", {"pack": "0"}, "shared", "--resources pack says"),
        ("ray", {"slurm_qos": "high"}, "shared", "--resources slurm_… says"),
    ],
)
def test_words_of_another_engine_are_refused(
    executor: str, words: dict, store: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddbench.work.executors.base.find_spec", lambda name: True)  # neither engine is needed
    with pytest.raises(UsageError, match=said):
        check_executor(executor, None, "cpu", wanted_of(words, store))
    check_executor(executor, None, "cpu", wanted_of({"cpus": "2", "mem": "4G", "gpus": "1"}))


def test_megabytes() -> None:
    assert [megabytes(text) for text in ("1", "1M", "1MB", "2gb", "0.5G")] == [1, 1, 1, 2048, 512]
