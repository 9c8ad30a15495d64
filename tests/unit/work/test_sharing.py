"""Who computes follows from networks and cores by a fixed rule, and what a user says counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.store.folder import Store
from ddbench.plan.status import assess
from ddbench.work.executors import devices, sharing
from ddbench.work.executors.sharing import narrow, share
from tests.unit.plan.test_planner import planned


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch, tmp_path_factory):
    """A machine whose GPUs only ``CUDA_VISIBLE_DEVICES`` tells."""
    files = tmp_path_factory.mktemp("dev")
    (files / "dxg").touch()
    monkeypatch.setattr(devices, "FILES", files)
    monkeypatch.setattr(sharing, "cores", lambda: 4)
    monkeypatch.setattr(sharing, "GPUS", ())
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def plan_of(tmp_path, arch="convnet2-w32", **more):
    made = planned(
        methods=["dm"], protocols=["hard"], archs=[arch], budget={"ipc": [1]}, **{"profile": "short", **more}
    )
    assess(made, Store(tmp_path))
    return made


def shared(made, **more):
    return share(made, Store(Path("nowhere")), **{"jobs": None, "threads": None, "device": "auto", **more})


def resources(made, found):
    return {node.document.label: found.of(node.document) for node in made.pending() if node.kind == "evaluation"}


def test_long_work_with_narrow_networks_gets_a_process_of_one_thread_for_each_core(tmp_path, fresh_home):
    made = plan_of(tmp_path)
    found = shared(made)
    assert (found.jobs, found.executor, found.text) == (4, "processes", "in 4 processes by engine fused")
    assert {(one.threads, one.alone) for one in resources(made, found).values()} == {(1, False)}


def test_wide_networks_get_all_cores_one_after_the_other(tmp_path, fresh_home):
    made = plan_of(tmp_path, "convnet2-w128")
    found = shared(made)
    assert (found.jobs, found.executor) == (1, "local")
    assert {one.threads for one in resources(made, found).values()} == {None}


def test_in_a_mixed_run_a_wide_node_waits_until_it_is_alone(tmp_path, fresh_home):
    made = plan_of(tmp_path, eval_archs=["convnet2-w32", "convnet2-w128"])
    found = shared(made)
    told = {(narrow(node.document, installed()), found.of(node.document).threads, found.of(node.document).alone)
            for node in made.pending() if node.kind == "evaluation"}  # fmt: skip
    assert told == {(True, 1, False), (False, None, True)}


def test_short_work_stays_in_one_process(tmp_path, fresh_home):
    assert shared(plan_of(tmp_path, profile="smoke")).jobs == 1


@pytest.mark.parametrize("jobs", [1, 3, 50])
def test_what_the_user_says_counts_and_narrow_networks_have_one_thread_in_any_case(tmp_path, fresh_home, jobs):
    made = plan_of(tmp_path)
    found = shared(made, jobs=jobs)
    assert found.jobs == min(jobs, len(made.pending()))
    assert {one.threads for one in resources(made, found).values()} == {1}
    assert {one.threads for one in resources(made, shared(made, jobs=jobs, threads=2)).values()} == {2}
    wide = plan_of(tmp_path, "convnet2-w128")
    assert {one.threads for one in resources(wide, shared(wide, jobs=jobs)).values()} == {max(1, 4 // jobs)}


def test_without_a_compiler_the_plan_says_eager_and_why(tmp_path, fresh_home, monkeypatch):
    for name in ("missing", "unlikely"):
        monkeypatch.setattr(sharing, name, lambda: "there is no C compiler (cc)")
    found = shared(plan_of(tmp_path))
    assert found.text.endswith("by engine eager")
    assert found.slower.endswith("takes up to twice as long: there is no C compiler (cc)")
    assert not shared(plan_of(tmp_path), engine="eager").slower, "asked for"
    with pytest.raises(UsageError, match="--engine fused: there is no C compiler"):
        shared(plan_of(tmp_path), engine="fused")


def test_on_a_gpu_pytorch_s_own_operations_compute(tmp_path, fresh_home, monkeypatch):
    monkeypatch.setattr(sharing, "GPUS", (tmp_path,))
    found = shared(plan_of(tmp_path))
    assert (found.text, found.slower) == ("in this process by engine eager", "")
    with pytest.raises(UsageError, match="--engine fused: it is for CPUs, not for cuda"):
        shared(plan_of(tmp_path), engine="fused", device="cuda")
    assert shared(plan_of(tmp_path), device="cpu").text.endswith("by engine fused")


def test_threads_of_the_environment_count(tmp_path, fresh_home, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    made = plan_of(tmp_path)
    assert {one.threads for one in resources(made, shared(made)).values()} == {None}, "the engine reads it"


def test_beside_a_gpu_one_process_computes(tmp_path, fresh_home, monkeypatch):
    made = plan_of(tmp_path)
    assert shared(made, device="cuda").jobs == 1
    monkeypatch.setattr(sharing, "GPUS", (tmp_path,))
    assert shared(made).jobs == 1
    assert shared(made, device="cpu").jobs == 4


@pytest.mark.parametrize(
    ("options", "jobs", "gpus"),
    [
        ({"device": "cuda:0,cuda:2"}, 2, ("cuda:0", "cuda:2")),
        ({"device": "all"}, 3, ("cuda:0", "cuda:1", "cuda:2")),
        ({"device": "all", "jobs": 5}, 5, ("cuda:0", "cuda:1", "cuda:2")),
        ({"device": "all", "jobs": 2}, 2, ("cuda:0", "cuda:1")),
        ({"device": "cuda:1"}, 1, ("cuda:1",)),
    ],
)
def test_gpus_that_are_named_get_a_process_each_unless_the_user_says_how_many(
    tmp_path, fresh_home, monkeypatch, options, jobs, gpus
):
    monkeypatch.setenv(devices.VARIABLE, "0,1,2")
    made = plan_of(tmp_path, "convnet2-w128")
    found = shared(made, **options)
    assert (found.jobs, found.gpus, found.executor) == (jobs, gpus, "processes")
    assert {(one.device, one.threads) for one in resources(made, found).values()} == {("cuda", max(1, 4 // jobs))}


def test_in_this_process_one_gpu_can_be_named(tmp_path, fresh_home, monkeypatch):
    monkeypatch.setenv(devices.VARIABLE, "0,1,2")
    made = plan_of(tmp_path)
    found = shared(made, device="cuda:1", executor="local")
    assert (found.jobs, found.gpus, found.executor) == (1, (), "local")
    assert {one.device for one in resources(made, found).values()} == {"cuda:1"}


def test_a_fixed_number_of_threads_divides_the_cores(tmp_path, fresh_home):
    assert shared(plan_of(tmp_path), threads=2).jobs == 2
