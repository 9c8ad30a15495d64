"""What every executor keeps to, wherever it runs nodes: the same records, the same failures, progress by key."""

from __future__ import annotations

import json

import pytest

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import load
from ddbench.core.profiles import profile
from ddbench.core.store.folder import Store
from ddbench.data.prepared import views
from ddbench.data.prepared.on_disk import Prepared
from ddbench.plan import grid, planner, suite
from ddbench.work.executors.base import EXECUTORS, Resources, Run, check_executor, make_executor
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Silent
from tests.e2e.runs import ddbench, placed, plugin

HERE = sorted(name for name, kind in EXECUTORS.items() if not kind.elsewhere)
ONE = Resources(device="cpu", threads=1)
CHANGING = {"cost", "started", "finished", "seal"}


class Watching(Silent):
    """Notes which nodes say how far they are."""

    def __init__(self):
        self.keys = set()

    def progress(self, key, done, total, what, metrics):
        self.keys.add(key)


class Bench:
    """An executor with a results folder, and nodes of the test method ``mean`` to run on it."""

    def __init__(self, name, folder, file):
        self.registries, self.monitor, self.store = load([file]), Watching(), Store(folder)
        run = Run(self.store, self.registries, 1, Interrupts(), self.monitor)
        self.executor = make_executor(name, run)

    def nodes(self, **params):
        content = {
            "methods": [{"name": "mean", "params": params}], "budget": {"ipc": [1]}, "archs": ["convnet2-w8"],
            "seeds": {"condense": 1, "evaluate": 1}, "profile": "smoke",
            "protocols": ["hard-fixed"],
        }  # fmt: skip
        made = planner.make(grid.build(suite.parse(content, "test"), self.registries, profile("smoke")))
        entry = next(entry for entry in made.entries if entry.method.name == "mean")
        return [made.nodes[key].document for key in (entry.cell, entry.evaluation)]

    def run(self, document, resources=ONE):
        while not self.executor.slots:
            self.executor.poll(0.5)
        handle = self.executor.submit(document, resources)
        while not (done := self.executor.poll(0.5)):
            pass
        ((told, outcome),) = done
        assert told == handle
        return outcome

    def records(self):
        found = {}
        for path in [*self.store.out.rglob("condense.json"), *self.store.out.rglob("eval/*.json")]:
            record = json.loads(path.read_text())
            steps = {"steps": record["cost"]["steps"], "attempts": record["cost"]["attempts"]}
            kept = {name: value for name, value in record.items() if name not in CHANGING}
            found[str(path.relative_to(self.store.out))] = kept | steps
        return found


@pytest.fixture(scope="module")
def benches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("executors")
    made = {name: Bench(name, folder / name, plugin(folder)) for name in HERE}
    yield made
    for bench in made.values():
        bench.executor.close()


@pytest.fixture(params=HERE)
def bench(request, benches):
    return benches[request.param]


def test_all_executors_leave_the_same_records(benches):
    for bench in benches.values():
        made, scored = bench.nodes()
        for document in (made, scored):
            outcome = bench.run(document)
            assert (outcome.status, outcome.record.key) == ("ok", document.key)
            assert document.key in bench.monitor.keys
        assert outcome.record == bench.store.evaluation(bench.store.folder(made), scored.key, outcome.record.set_sha256)
        failed = bench.run(bench.nodes(trouble="step")[0])
        assert (failed.status, failed.reason) == ("failed", placed("ValueError: broken in step", "raise ValueError"))
    local, *others = (bench.records() for bench in benches.values())
    assert len(local) == 3
    assert all(other == local for other in others)


@pytest.mark.parametrize("trouble", ["exit", "nan", "oom"])
def test_a_failure_is_an_outcome_with_a_record(bench, trouble):
    outcome = bench.run(bench.nodes(trouble=trouble)[0])
    assert outcome.status == {"exit": "failed"}.get(trouble, trouble)
    assert outcome.record.reason == outcome.reason


def test_an_artifact_that_cannot_be_read_is_damage_not_a_failure(bench):
    made, scored = bench.nodes(at=5)
    assert bench.run(made).status == "ok"
    (bench.store.folder(made) / "condensed.safetensors").write_bytes(b"cut")
    outcome = bench.run(scored)
    assert (outcome.status, outcome.record) == ("damaged", None)
    assert bench.store.condensation(bench.store.folder(made)) is None, "it was set aside"


def test_a_limit_cuts_a_node_short_and_it_goes_on_where_it_stopped(bench):
    made, _ = bench.nodes(pause_s=0.02)
    cut = bench.run(made, Resources(device="cpu", threads=1, timeout_s=1e-3))
    assert cut.status == "timeout"
    assert bench.run(made).record.cost.attempts == 2


def test_a_node_of_another_plugin_is_refused_and_leaves_nothing(bench):
    made, _ = bench.nodes(pause_s=0.01)
    other = made.model_copy(update={"cell": made.cell.model_copy(update={"origin": "0" * 64})})
    outcome = bench.run(other)
    assert (outcome.status, outcome.record) == ("failed", None)
    assert "another one than this was planned with" in outcome.reason
    assert not bench.store.folder(made).exists()


def test_a_device_that_is_not_there_ends_the_run(tmp_path):
    for name in HERE:
        bench = Bench(name, tmp_path / name, plugin(tmp_path))
        try:
            with pytest.raises(UsageError, match="--device nosuch"):
                bench.run(bench.nodes()[0], Resources(device="nosuch", threads=1))
        finally:
            bench.executor.close()


def test_one_process_runs_one_node_at_a_time():
    for name, jobs in ((None, None), (None, 2), ("local", 1), ("local", None), ("processes", 1)):
        check_executor(name, jobs, "auto")
    with pytest.raises(UsageError, match="--jobs 2"):
        check_executor("local", 2, "auto")


@pytest.mark.parametrize(
    ("options", "named"),
    [(("--executor", "nosuch"), EXECUTORS), (("--executor", "local", "--jobs", "2"), ["--jobs 2"])],
)
def test_an_executor_that_cannot_run_this_is_refused_before_anything_is(tmp_path, capsys, options, named):
    assert ddbench("run", "--methods", "random", "--ipc", "1", "--out", tmp_path / "runs", *options) == 2
    told = capsys.readouterr().err
    assert all(name in told for name in named)
    assert not (tmp_path / "runs").exists()


def test_nodes_in_a_row_draw_their_view_once_and_copy_no_pixels(tmp_path, monkeypatch):
    drawn, copied = [], []
    real = views.apply_view
    monkeypatch.setattr(views, "apply_view", lambda *args, **how: drawn.append(how) or real(*args, **how))
    monkeypatch.setattr(Prepared, "pixels", lambda *args: copied.append(args))
    views._drawn.cache_clear()
    bench = Bench("local", tmp_path / "runs", plugin(tmp_path))
    assert [bench.run(document).status for document in bench.nodes()] == ["ok", "ok"]
    assert len(drawn) == 1, "planning, the cell's data, its facts, and the student's train, val and test"
    assert copied == []
