"""What a job of a cluster runs: nodes in a process of their own, claimed where they run, reported one by one."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from ddbench.core.documents import EvaluationDocument
from ddbench.core.keys import short
from ddbench.core.plugin.loader import active
from ddbench.core.store import jobs
from ddbench.core.store.claims import Watch, acquire
from ddbench.core.store.files import home
from ddbench.core.store.folder import Store, evaluation_path
from ddbench.library.runs import planned
from ddbench.library.suites import suite_of
from ddbench.plan.graph import Node
from ddbench.work.executors.agent import Job, Packed, run_job, sees_inputs
from ddbench.work.executors.base import Resources
from tests.cluster.compare import assert_same
from tests.e2e.runs import SMOKE, ddbench

WORDS = {
    "suite": None, "methods": ["random"], "datasets": [], "ipc": [1], "fraction": [], "archs": [], "eval_archs": [],
    "preprocess": [], "protocols": [], "seeds": 1, "eval_seeds": None, "random_seeds": None, "profile": "smoke",
    "split": None, "controls": False, "engine": "auto", "settings": [],
}  # fmt: skip


def nodes(out: Path) -> list[Node]:
    """Those of a small plan, in its order."""
    _, plan = planned(suite_of(WORDS, active()), active(), out)
    return [node for node in plan.pending() if not node.is_reference]


def job(out: Path, wanted: list[Node], name: str = "0123456789ab") -> str:
    resources = Resources(device="cpu", threads=1)
    packed = tuple(Packed(document=node.document.model_dump(mode="json"), resources=resources) for node in wanted)
    return Job(name=name, out=str(out), home=str(home()), nodes=packed).model_dump_json()


def said(out: Path) -> list[dict]:
    return [*jobs.report(out, "0123456789ab").news()]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Node], dict]:
    """A folder with all nodes of a plan, run by one job, and what it returned."""
    out = tmp_path_factory.mktemp("agent") / "runs"
    wanted = nodes(out)
    return out, wanted, json.loads(run_job(job(out, wanted), "slurm job 7_1"))


def test_a_job_does_what_a_run_does(done: tuple[Path, list[Node], dict], tmp_path: Path) -> None:
    out, wanted, told = done
    assert {key: one["status"] for key, one in told["outcomes"].items()} == {node.key: "ok" for node in wanted}
    assert not told["stopped"]
    assert ddbench("run", "--methods", "random", "--ipc", "1", "--seeds", "1", *SMOKE, "--reference-limit", "0",
                   "--out", tmp_path / "here") == 0  # fmt: skip
    assert_same(tmp_path / "here", out)
    assert not [*(out / ".claims").iterdir()]


def test_it_reports_each_node_as_it_begins_and_ends(done: tuple[Path, list[Node], dict]) -> None:
    out, wanted, told = done
    lines = said(out)
    assert [line["key"] for line in lines] == [node.key for node in wanted for _ in range(2)]
    assert ["begun" in line for line in lines] == [True, False] * len(wanted)
    assert {line["key"]: line["outcome"] for line in lines[1::2]} == told["outcomes"]


def test_what_it_reported_before_it_was_queued_again_it_does_not_do_again(done: tuple[Path, list[Node], dict]) -> None:
    out, wanted, _ = done
    assert json.loads(run_job(job(out, wanted))) == {"outcomes": {}, "stopped": False}


def test_what_another_run_published_is_that_runs(done: tuple[Path, list[Node], dict]) -> None:
    out, wanted, _ = done
    told = json.loads(run_job(job(out, wanted, name="")))
    assert told["outcomes"] == dict.fromkeys([node.key for node in wanted])


def test_what_another_process_works_on_is_waited_for_and_the_rest_goes_first(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    first, second = [node for node in nodes(out) if node.kind == "cell"][:2]
    claim = acquire(out / ".claims", short(first.key), Watch())
    assert claim is not None

    def let_go() -> None:
        while not any("outcome" in line for line in said(out)):
            time.sleep(0.05)
        claim.__exit__()

    threading.Thread(target=let_go, daemon=True).start()
    told = json.loads(run_job(job(out, [first, second])))
    assert [*told["outcomes"]] == [second.key, first.key]


def test_a_signal_stops_it_and_frees_what_it_claimed(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    wanted = nodes(out)

    def stop() -> None:
        while not said(out):
            time.sleep(0.02)
        os.kill(os.getpid(), 15)

    threading.Thread(target=stop, daemon=True).start()
    told = json.loads(run_job(job(out, wanted)))
    assert told["stopped"]
    assert len(told["outcomes"]) < len(wanted)
    assert not [*(out / ".claims").iterdir()]


def test_all_that_a_node_reads_is_seen_where_a_run_left_it_and_missed_where_it_is_gone(
    done: tuple[Path, list[Node], dict], tmp_path: Path
) -> None:
    """Files of other nodes, each of them: with one gone the node waits for it."""
    out, wanted, _ = done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    store = Store(copy)
    students = [node.document for node in wanted if isinstance(node.document, EvaluationDocument)]
    assert all(sees_inputs(node.document, store) for node in wanted)
    (chosen,) = [one for one in students if one.choice is not None]
    read = evaluation_path(store.folder(chosen.choice.set), chosen.choice.key)
    text = read.read_bytes()
    read.unlink()
    assert [one for one in students if not sees_inputs(one, store)] == [chosen]
    read.write_bytes(text)
    (store.folder(chosen.set) / "condense.json").unlink()
    assert [one for one in students if not sees_inputs(one, store)] == [chosen]
