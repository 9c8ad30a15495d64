"""The schedule, on an executor that does what a test says: order, inherited failures, repairs, interrupts, rivals."""

from __future__ import annotations

import os
import socket

import pytest

from ddbench.core.documents import ArtifactDocument, CellDocument, EvaluationDocument
from ddbench.core.errors import InterruptedRunError
from ddbench.core.infos import ALL_AXES
from ddbench.core.keys import condense_key, eval_key, short
from ddbench.core.records import Record
from ddbench.core.specs import ArtifactSpec, Budget, CellSpec, DataSpec, EvalSpec
from ddbench.core.store.claims import Watch, acquire
from ddbench.core.store.folder import CONDENSE, SET, Store, evaluation_path, write_record
from ddbench.plan.graph import Node, Plan
from ddbench.work.attempt import Outcome
from ddbench.work.executors.base import Resources
from ddbench.work.executors.schedule import REPAIRS, Schedule
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Beats, Silent
from tests.factories import ARCH, WHEN
from tests.factories import key_of as any_key_of

OK = Outcome(status="ok")
DAMAGED = Outcome(status="damaged", reason="condensed.safetensors: not the file that condense.json names")


DATA = DataSpec(name="d", revision="0" * 16)


STUDENTS = {}
"""Keys of evaluations by their names."""


def key_of(name):
    """The key of a node by its name: cells begin with c, evaluations were named before, all else are artifacts."""
    if name.startswith("c"):
        return condense_key(spec_of(name), ALL_AXES, ())
    return STUDENTS.get(name) or any_key_of(name)


def spec_of(name):
    return CellSpec(
        method="m", method_version=1, origin="ddbench", params={"name": name}, data=DATA, budget=Budget(ipc=1),
        arch=ARCH, master=0, r=0,
    )  # fmt: skip


def artifact(name):
    return Node(name, ArtifactDocument(key=key_of(name), artifact=ArtifactSpec(kind="experts", data=DATA)), ())


def made_by(name):
    return CellDocument(key=key_of(name), cell=spec_of(name), folder="ipc1", label=name)


def cell(name, *needs):
    return Node(name, made_by(name), tuple(map(key_of, needs)))


def evaluation(name, made, *needs):
    student = EvalSpec(
        set=key_of(made), protocol="hard", protocol_version=1, protocol_params={"name": name}, arch=ARCH, master=0, r=0,
        e=0,
    )  # fmt: skip
    STUDENTS[name] = eval_key(student)
    document = EvaluationDocument(key=key_of(name), eval=student, set=made_by(made), label=name)
    return Node(name, document, tuple(map(key_of, (made, *needs))))


def record_of(node):
    kind = "evaluation" if node.kind == "evaluation" else "condense"
    metrics = {"top1": 50.0} if kind == "evaluation" else {}
    return Record(key=node.key, kind=kind, status="ok", document=node.document, metrics=metrics, set_sha256="0" * 64,
                  started=WHEN, finished=WHEN)  # fmt: skip


class Scripted:
    """An executor that gives each node its next scripted outcome (or raises it), the oldest node first."""

    claims = False

    def __init__(self, nodes, slots=1, room=float("inf"), **script):
        self.nodes, self.slots = {node.key: node for node in nodes}, slots
        self.script = {name: list(outcomes) for name, outcomes in script.items()}
        self.running, self.log, self.most, self.closed = [], [], 0, None
        self.room, self.peaks = room, []

    def has_room(self, resources):
        assert self.running, "a node with nothing beside it is not asked about"
        return self.room >= resources.peak_mb + sum(self.peaks)

    def submit(self, document, resources):
        assert len(self.running) < self.slots, "more nodes than slots"
        node = self.nodes[document.key]
        for need in node.needs:
            assert self.nodes[need].state == "cached", f"{node.title} came before {self.nodes[need].title}"
        self.running.append(node)
        self.peaks.append(resources.peak_mb)
        self.most = max(self.most, len(self.running))
        self.log.append(node.title)
        return node.key

    def poll(self, wait_s):
        node = self.running[0]
        outcome = self.script[node.title].pop(0) if self.script.get(node.title) else OK
        if isinstance(outcome, BaseException):
            raise outcome
        self.running.pop(0)
        self.peaks.pop(0)
        if outcome is not None and outcome.status == "ok" and node.kind != "artifact":
            outcome = Outcome.of(record_of(node))
        return [(node.key, outcome)]

    def cancel(self, handle):
        self.log.append(f"cancel {self.nodes[handle].title}")

    def close(self):
        self.log.append("close")


class Watching(Silent):
    """Notes what it is told."""

    def __init__(self):
        self.told = []

    def end(self, node):
        self.told.append((node.title, node.state))

    def waiting(self, nodes, holders):
        self.told.append(("waiting", nodes, *holders))


def schedule(tmp_path, nodes, executor, of=lambda document: Resources(), **more):
    plan = Plan(None, {node.key: node for node in nodes})
    watching = Watching()
    given = {"interrupts": Interrupts(), "monitor": Beats(watching), "reference_limit_s": 0.0, **more}
    made = Schedule(plan, Store(tmp_path), executor, of, **given)
    made.told = watching.told
    return made


def claims(tmp_path):
    return [path.name for path in (tmp_path / ".claims").glob("*")]


@pytest.fixture(autouse=True)
def _home(fresh_home):
    """No artifact or claim of another test."""


def chains():
    return [artifact("a"), cell("c1", "a"), cell("c2", "a"), evaluation("e1", "c1"), evaluation("e2", "c2", "e1")]


def test_one_slot_runs_nodes_in_the_order_of_the_plan(tmp_path):
    nodes = chains()
    executor = Scripted(nodes)
    running = schedule(tmp_path, nodes, executor)
    running.run()
    assert executor.log == ["a", "c1", "c2", "e1", "e2", "close"]
    assert running.told == [(node.title, "cached") for node in nodes]
    assert not claims(tmp_path)


def test_more_slots_run_independent_nodes_at_once_and_nothing_too_early(tmp_path):
    nodes = chains()
    executor = Scripted(nodes, slots=3)
    schedule(tmp_path, nodes, executor).run()
    assert executor.most == 2
    assert sorted(executor.log) == sorted(["a", "c1", "c2", "e1", "e2", "close"])


@pytest.mark.parametrize("status", ["oom", "nan", "timeout"])
def test_a_student_that_needs_a_failed_one_is_a_row_of_the_folder(tmp_path, status):
    nodes = chains()
    running = schedule(tmp_path, nodes, Scripted(nodes, e1=[Outcome(status=status, reason="not at repetition −1")]))
    running.run()
    student = nodes[-1]
    kept = running.store.evaluation(running.store.folder(student.document.set), student.key, "0" * 64)
    assert (kept.status, kept.reason) == (status, f"needs e1: {status}: not at repetition −1")
    assert (student.state, student.record) == ("failed", kept)


def test_a_student_whose_own_set_failed_needs_no_row_beside_that_of_its_set(tmp_path):
    nodes = chains()
    running = schedule(tmp_path, nodes, Scripted(nodes, a=[Outcome(status="oom", reason="artifact: out of memory")]))
    running.run()
    assert nodes[-1].state == "failed"
    assert not evaluation_path(running.store.folder(nodes[-1].document.set), nodes[-1].key).exists()


def test_a_node_that_uses_all_cores_runs_when_no_other_one_does(tmp_path):
    nodes = [cell("c1"), cell("c2"), cell("wide"), cell("c3")]
    executor, seen = Scripted(nodes, slots=4), []
    given = executor.submit
    executor.submit = lambda document, resources: (
        seen.append((document.label, sorted(node.title for node in executor.running))),
        given(document, resources),
    )[1]
    schedule(tmp_path, nodes, executor, lambda document: Resources(alone=document.label == "wide")).run()
    beside = dict(seen)
    assert beside["wide"] == []
    assert all("wide" not in others for others in beside.values())
    assert executor.most > 1, "the others share the machine"


@pytest.mark.parametrize(("room", "most"), [(10.0, 3), (7.0, 2), (1.0, 1), (0.0, 1)])
def test_nodes_run_beside_each_other_as_far_as_there_is_room_and_all_of_them_run(tmp_path, room, most):
    nodes = [cell(f"c{i}") for i in range(5)]
    executor = Scripted(nodes, slots=4, room=room)
    running = schedule(tmp_path, nodes, executor)
    running.peaks.data = {"d": 3.0}
    running.run()
    assert executor.most == most
    assert sorted(executor.log) == sorted([*(node.title for node in nodes), "close"])


def test_what_needs_a_failed_artifact_fails_with_its_status_and_the_rest_goes_on(tmp_path):
    nodes = [*chains(), cell("c3"), evaluation("e3", "c3")]
    executor = Scripted(nodes, a=[Outcome(status="oom", reason="artifact experts: out of memory")])
    running = schedule(tmp_path, nodes, executor)
    running.run()
    assert executor.log == ["a", "c3", "e3", "close"]
    states = {node.title: (node.state, node.reason) for node in nodes}
    assert states["c1"] == states["c2"] == ("failed", "needs a, which failed"), "the reason is said once"
    assert states["e1"] == states["e2"] == ("failed", "its set failed")
    assert states["e3"] == ("cached", None)
    found = running.store.condensation(running.store.folder(nodes[1].document))
    assert (found.status, found.reason) == ("oom", "artifact experts: out of memory"), "a failed cell is a row"


@pytest.mark.parametrize("claims", [False, True])
def test_what_another_machine_has_made_and_this_one_cannot_see_yet_is_not_made_again(tmp_path, monkeypatch, claims):
    """With a claim on it, or after the place where it was to run has said that it is there."""
    nodes = [cell("c1"), cell("c2")]
    executor = Scripted(nodes, c1=[None])
    executor.claims = claims
    running = schedule(tmp_path, nodes, executor)
    path = running.store.result(nodes[0].document)
    looks = iter([True, True])

    def hides(watch, asked):
        if asked == path and next(looks, None) is None:
            write_record(path, record_of(nodes[0]))
            (path.parent / SET).write_bytes(b"")
        return asked == path and not path.exists()

    monkeypatch.setattr(Watch, "hides", hides)
    running.sleep = lambda seconds: None
    running.run()
    assert executor.log == (["c1", "c2", "close"] if claims else ["c2", "close"])
    assert [node.state for node in nodes] == ["cached", "cached"]


def test_an_evaluation_names_the_other_one_that_it_needs(tmp_path):
    nodes = [cell("c1"), cell("c2"), evaluation("e1", "c1"), evaluation("e2", "c2", "e1")]
    schedule(tmp_path, nodes, Scripted(nodes, e1=[Outcome(status="failed", reason="refused")])).run()
    assert [node.reason for node in nodes[2:]] == ["refused", "needs e1, which failed"]


def test_a_damaged_input_is_made_again_before_its_reader_runs_again(tmp_path):
    nodes = [cell("c"), evaluation("e", "c")]
    executor = Scripted(nodes, e=[DAMAGED])
    schedule(tmp_path, nodes, executor).run()
    assert executor.log == ["c", "e", "c", "e", "close"]
    assert [node.state for node in nodes] == ["cached", "cached"]


def test_an_input_that_is_damaged_again_and_again_fails_its_reader(tmp_path):
    nodes = [cell("c"), evaluation("e", "c")]
    executor = Scripted(nodes, e=[DAMAGED] * 10)
    schedule(tmp_path, nodes, executor).run()
    assert executor.log.count("e") == REPAIRS + 1
    assert (nodes[1].state, nodes[1].reason) == ("failed", DAMAGED.reason)


def test_damage_where_every_input_is_there_fails_at_once(tmp_path):
    nodes = [cell("c"), evaluation("e", "c")]
    executor = Scripted(nodes, e=[DAMAGED] * 10)
    running = schedule(tmp_path, nodes, executor)
    folder = running.store.folder(nodes[0].document)
    folder.mkdir(parents=True)
    (folder / SET).touch()
    write_record(folder / CONDENSE, record_of(nodes[0]))
    running.run()
    assert executor.log == ["e", "close"], "the cell was taken over from the folder"
    assert nodes[1].state == "failed"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InterruptedRunError("interrupted")])
def test_an_interrupt_cancels_what_runs_and_frees_it_after_it_has_stopped(tmp_path, error):
    nodes = [cell("c1"), cell("c2"), cell("c3")]
    executor = Scripted(nodes, slots=2, c1=[error])
    held = []
    executor.close = lambda: held.append(len(claims(tmp_path)))
    with pytest.raises(type(error)):
        schedule(tmp_path, nodes, executor).run()
    assert executor.log == ["c1", "c2", "cancel c1", "cancel c2"]
    assert held == [2]
    assert not claims(tmp_path)
    assert all(node.pending for node in nodes), "to be stopped is no failure"


def test_a_request_to_stop_is_noticed_between_nodes(tmp_path):
    nodes = [cell("c1"), cell("c2")]
    running = schedule(tmp_path, nodes, Scripted(nodes))
    running.interrupts.requested = True  # the exception was swallowed by the code that it hit
    with pytest.raises(InterruptedRunError):
        running.run()
    assert running.executor.log == ["close"]


def test_what_another_run_works_on_is_waited_for_and_taken_over(tmp_path):
    nodes = [cell("c1"), cell("c2"), evaluation("e1", "c1")]
    executor = Scripted(nodes)

    def other_run_finishes(seconds):
        folder = running.store.folder(nodes[0].document)
        folder.mkdir(parents=True)
        (folder / SET).touch()
        write_record(folder / CONDENSE, record_of(nodes[0]))
        claim.__exit__()

    running = schedule(tmp_path, nodes, executor, sleep=other_run_finishes)
    claim = acquire(running.store.claims(shared=False), short(nodes[0].key), Watch())
    with claim:
        running.run()
    assert executor.log == ["c2", "e1", "close"]
    assert ("waiting", 2, f"process {os.getpid()} on {socket.gethostname()}") in running.told
    assert nodes[0].record.key == nodes[0].key


def test_where_places_claim_nodes_the_schedule_claims_none(tmp_path):
    nodes = [cell("c1"), evaluation("e1", "c1")]
    held = []

    class Elsewhere(Scripted):
        claims = True

        def poll(self, wait_s):
            held.append([*running.store.claims(shared=False).glob("*")])
            return super().poll(wait_s)

    executor = Elsewhere(nodes)
    running = schedule(tmp_path, nodes, executor)
    running.run()
    assert held == [[], []]
    assert [node.state for node in nodes] == ["cached", "cached"]


def test_no_outcome_means_that_the_store_knows(tmp_path):
    """Another run published the node; or nobody has it any more, and it is submitted again."""
    nodes = [cell("c1"), cell("c2")]

    class Elsewhere(Scripted):
        claims = True

        def poll(self, wait_s):
            found = super().poll(wait_s)
            if found[0][1] is None and self.log.count("c1") == 2:
                folder = running.store.folder(nodes[0].document)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / SET).touch()
                write_record(folder / CONDENSE, record_of(nodes[0]))
            return found

    executor = Elsewhere(nodes, c1=[None, None])
    running = schedule(tmp_path, nodes, executor)
    running.run()
    assert executor.log == ["c1", "c1", "c2", "close"]
    assert nodes[0].record.key == nodes[0].key
