"""Which nodes are planned in bfloat16: pools of experts and `full`, and only for networks that were shown to suit."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddbench.core.documents import precision_of
from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.store.folder import Store
from ddbench.models import parse
from ddbench.models.fused.offered import IN_BF16
from ddbench.plan.status import assess
from ddbench.work.engine import Engine
from ddbench.work.executors import sharing
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Silent
from ddbench.work.node import run_node
from tests.unit.plan.test_planner import nodes, planned

NET = IN_BF16[0]


def both(**content):
    """The plans in float32 and in bfloat16."""
    content = {"methods": ["mtt", "kmeans"], "archs": [NET], "protocols": ["hard-fixed"], **content}
    return planned(**content), planned(**content, precision="bf16")


def half(made):
    return {node.title for node in made.nodes.values() if precision_of(node.document) == "bf16"}


def test_experts_and_full_are_planned_so_and_their_titles_say_so():
    made = both()[1]
    assert half(made) == {node.title for node in made.nodes.values() if " bf16" in node.title}
    assert half(made) == {
        f"experts digits {NET} bf16 r0",
        *(f"full r{r} · hard-fixed@1 {NET} bf16 e0" for r in (0, 1)),
    }


def test_what_rests_on_experts_has_another_key_and_all_else_the_same():
    whole, made = both()
    changed = {node.title for key, node in made.nodes.items() if key not in whole.nodes}
    assert changed == half(made) | {node.title for node in made.nodes.values() if node.title.startswith("mtt")}


def test_a_set_says_which_of_its_artifacts_were_trained_so():
    whole, made = both()
    told = {node.document.label: node.document.bf16 for node in nodes(made, "cell")}
    assert told == {"full": (), "random": (), "mtt": ("experts",), "kmeans": ()}
    assert all("bf16" not in node.document.model_dump_json() for node in whole.nodes.values())


def test_a_pool_from_elsewhere_is_the_same():
    source = {"mtt": {"expert_source": "a" * 12}}
    whole, made = both(methods=["mtt"], set=source)
    assert [node.key for node in nodes(whole, "artifact")] == [node.key for node in nodes(made, "artifact")]


@pytest.mark.parametrize("net", ["convnet2-w8", "convnet2-w32-bn", "lenet"])
def test_a_network_that_was_not_measured_is_refused(net):
    name = parse(net, installed().architectures).canonical
    with pytest.raises(UsageError, match=rf"^precision bf16: .* of {name}: only {NET}"):
        planned(methods=["random"], archs=[net], precision="bf16")


def test_a_student_that_was_not_measured_is_refused_for_full_alone():
    with pytest.raises(UsageError, match=r"^precision bf16: full of lenet-w6-nn: only"):
        planned(archs=[NET], eval_archs=[NET, "lenet"], precision="bf16")
    assert planned(methods=["dm"], archs=["convnet2-w8"], eval_archs=[NET], precision="bf16")


def test_there_is_no_other_precision():
    with pytest.raises(UsageError, match="precision: Input should be 'fp32' or 'bf16'"):
        planned(precision="fp16")


def test_all_networks_that_are_offered_are_ours():
    assert all(parse(name, installed().architectures).canonical == name for name in IN_BF16)


def shared(made, tmp_path, engine="bf16"):
    assess(made, Store(tmp_path))
    found = sharing.share(made, Store(Path("nowhere")), jobs=None, threads=1, device="cpu", engine=engine)
    return {node.title: found.of(node.document).engine for node in made.pending()}, found.text


def test_nodes_that_train_so_get_the_engine_of_that_name(tmp_path, fresh_home, monkeypatch):
    monkeypatch.setattr("ddbench.work.engine.missing", lambda: "")
    monkeypatch.setattr("ddbench.work.engine.no_bf16", lambda: "")
    made = both()[1]
    engines, text = shared(made, tmp_path)
    assert {title for title, engine in engines.items() if engine == "bf16"} == half(made)
    assert {engine for title, engine in engines.items() if title not in half(made)} == {"auto"}
    assert text.endswith("by engine fused, 3 nodes by bf16")


@pytest.mark.parametrize("lacks", ["work.executors.sharing.unlikely", "work.engine.no_bf16"])
def test_a_machine_that_cannot_is_told_so_where_there_is_something_to_train(tmp_path, fresh_home, monkeypatch, lacks):
    monkeypatch.setattr(f"ddbench.{lacks}", lambda: "it is another machine")
    whole, made = both()
    with pytest.raises(UsageError, match=r"^--engine bf16: it is another machine$"):
        shared(made, tmp_path)
    assert shared(whole, tmp_path)[0]


def test_a_node_is_refused_by_an_engine_of_another_precision(tmp_path, fresh_home):
    whole, made = both(methods=["random"])
    for plan, engine in ((whole, "bf16"), (made, "eager")):
        document = next(node.document for node in plan.nodes.values() if node.is_reference)
        outcome = run_node(
            document, Store(tmp_path / "runs"), Engine(device="cpu", threads=1, engine=engine),
            registries=installed(), interrupts=Interrupts(), monitor=Silent(),
        )  # fmt: skip
        assert outcome.status == "failed"
        assert outcome.reason == f"planned in {precision_of(document)}, which engine {engine} does not compute in"
    assert not (tmp_path / "runs").exists()
