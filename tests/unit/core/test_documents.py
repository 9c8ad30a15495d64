"""Documents of nodes: JSON and models say the same, new records have the fields of old ones, old ones are completed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ddbench.core.documents import CellDocument, EvaluationDocument, Facts, Short, parse
from ddbench.core.errors import CorruptFileError, NewerRecordError
from ddbench.core.records import Record
from ddbench.core.roles import Role
from ddbench.core.specs import Budget
from tests.factories import pair, unsealed
from tests.unit.plan.test_planner import planned

RECORDS = Path(__file__).parents[3] / "leaderboards" / "records"


def fields(content: Any) -> Any:
    """The names of all fields, parameters of methods and protocols aside."""
    if not isinstance(content, dict):
        return None
    free = ("params", "protocol_params", "artifacts")
    return {name: fields(value) for name, value in content.items() if name not in free}


def committed(kind: str) -> dict[str, Any]:
    lines = (RECORDS / "cpu-digits.jsonl").read_text(encoding="utf-8").splitlines()
    specs = (json.loads(line)["spec"] for line in lines)
    return next(
        spec
        for spec in specs
        if spec["kind"] == kind and spec.get("key") and not (spec.get("choice") or spec.get("recipe"))
    )


def test_every_planned_document_survives_the_way_through_json():
    methods = ["mtt", "kmeans_soft"]
    made = planned(methods=methods, controls=True, preprocess=["zca-kornia"], protocols=["hard", "native"])
    documents = [node.document for node in made.nodes.values()]
    assert any(document.kind == "cell" and document.initial is not None for document in documents)
    assert {document.kind for document in documents} == {"artifact", "cell", "evaluation"}
    assert all(parse(json.loads(document.model_dump_json())) == document for document in documents)
    assert all(parse(document.model_dump(mode="json")) == document for document in documents)


def test_a_set_is_called_what_a_suite_calls_it():
    made = planned(methods=["kmeans_soft", "random_soft"], protocols=["native"])
    called = {node.document.label: node.document.called for node in made.nodes.values() if node.kind == "cell"}
    assert called == {name: name for name in ("kmeans", "kmeans_soft", "random", "random_soft")}


@pytest.mark.parametrize("kind", ["cell", "evaluation"])
def test_new_records_have_the_fields_of_committed_ones_and_roles(kind):
    made = planned(methods=["dm"], protocols=["hard-fixed"])
    document = next(node.document for node in made.nodes.values() if node.kind == kind)
    wanted = fields(committed(kind))
    role = {"role": {"kind": None, "of": None}}
    if kind == "evaluation":
        wanted["facts"] |= role | {"place": None}
        wanted["set"] |= role
    else:
        wanted |= role
    assert fields(document.model_dump(mode="json")) == wanted


@pytest.mark.parametrize("path", sorted(RECORDS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_committed_documents_lose_nothing_when_they_are_written_again(path):
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "spec" in json.loads(line)]
    again = [(json.loads(line), json.loads(Record.from_json(line, "x").to_json())) for line in lines]
    assert [before["key"] for before, after in again if not _kept(before["spec"], after["spec"])] == []


def _kept(before: Any, after: Any) -> bool:
    """Whether all that was said is said; a budget that a row had for all sizes may be named."""
    if isinstance(before, dict):
        return before == {"ipc": None, "fraction": None} or all(_kept(v, after.get(n)) for n, v in before.items())
    return bool(before == after)


def test_rows_that_were_never_planned_say_so():
    skipped = {"method": "dm", "data": {"name": "d", "revision": "0"}, "arch": "a", "budget": {"ipc": 1}, "r": 2}
    student = {"set": "", "protocol": "hard", "protocol_version": 1, "protocol_params": {}, "arch": "a", "r": 2, "e": 0}
    found = parse({"kind": "evaluation", "eval": student, "set": {"cell": skipped}})
    assert isinstance(found, EvaluationDocument)
    assert (found.key, found.label, found.role, found.whole) == ("", "dm", Role(), False)
    assert (found.cell.method_version, found.cell.origin, found.cell.params) == (0, "", {})


def test_documents_of_rows_before_roles_say_what_their_labels_spelled():
    def content(method, label, **facts):
        made = pair(method, 50.0, label=label)[1].evaluation.model_dump(mode="json")
        del made["facts"]["role"], made["set"]["role"]
        return {**made, "facts": made["facts"] | facts}

    buys = {"of": ["dm"], "images": 40, "budget": {"ipc": 1, "fraction": None}}
    row = {"label": "random@bytes (for dm)", "facts": {"kind": "selection", "buys": buys}}
    found = parse(content("random", "random") | {"also": [row]})
    assert (found.role, found.also[0].facts.role) == (Role("reference"), Role("at_bytes", ("dm",)))
    found = parse(content("dm", "dm (0 steps)"))
    assert found.role == found.set.role == Role("start", ("dm",))


@pytest.mark.parametrize(
    "place", [(), ("set",), ("set", "cell"), ("set", "cell", "data"), ("facts",), ("facts", "role"), ("eval",)]
)
def test_a_document_with_a_field_that_is_not_known_is_a_newer_ddbenchs(place):
    content = unsealed(pair("dm")[1])
    inner = content["spec"]
    for name in place:
        inner = inner[name]
    inner["teacher"] = "t"
    with pytest.raises(NewerRecordError, match="teacher"):
        Record.from_json(json.dumps(content), "here")


def test_a_role_that_is_not_known_is_a_newer_ddbenchs():
    content = unsealed(pair("dm")[1])
    content["spec"]["facts"]["role"]["kind"] = "teacher"
    with pytest.raises(NewerRecordError, match=r"unknown value of spec\..*role\.kind"):
        Record.from_json(json.dumps(content), "here")


@pytest.mark.parametrize(
    "damage", [{"set": None}, {"set": {"cell": None}}, {"set": {}}, {"facts": 3}, {"eval": []}, {"also": [1]}]
)
def test_a_damaged_document_makes_a_damaged_record(damage):
    content = unsealed(pair("dm")[1])
    content["spec"] |= damage
    with pytest.raises(CorruptFileError):
        Record.from_json(json.dumps(content), "here")


def places(content, above=()):
    """The paths to all values in JSON."""
    for name, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield (*above, name)
        if isinstance(value, dict | list):
            yield from places(value, (*above, name))


@pytest.mark.parametrize("which", [0, 1], ids=["condensation", "evaluation"])
def test_whatever_is_damaged_in_a_record_it_is_read_or_told(which):
    text = json.dumps(unsealed(pair("dm")[which]))
    told = {}
    for place in places(json.loads(text)):
        for damage in (None, {}, [], "x", 3, [None], {"kind": "cell"}):
            content = inner = json.loads(text)
            for name in place[:-1]:
                inner = inner[name]
            inner[place[-1]] = damage
            try:
                Record.from_json(json.dumps(content), "here")
            except (CorruptFileError, NewerRecordError) as error:
                told.setdefault(place, set()).add(type(error))
    assert told[("schema",)] == {NewerRecordError, CorruptFileError}
    assert told[("spec",)] == told[("spec", "key")] == {CorruptFileError}


def test_a_record_has_a_document_of_its_own_kind():
    made, student = pair("dm")
    content = unsealed(student) | {"spec": unsealed(made)["spec"]}
    with pytest.raises(CorruptFileError, match="is one of kind 'cell'"):
        Record.from_json(json.dumps(content), "here")
    assert isinstance(made.document, CellDocument)


def test_facts_tell_the_classes_that_are_short_and_are_silent_where_none_is():
    found = Short.at(Budget(ipc=30), (40, 40, 40, 30, 12, 5, 0))
    assert found is not None
    assert (found.classes, found.of, found.least, found.most) == (2, 6, 5, 12)
    assert found.text == "2 of 6 classes have fewer images and give all they have (between 5 and 12)"
    one = Short.at(Budget(ipc=12), (40, 40, 12, 5))
    assert one is not None and one.text == "1 of 4 classes has fewer images and gives all it has (5)"
    for budget in (Budget(ipc=5), Budget(ipc=41), Budget(fraction=0.5)):
        assert Short.at(budget, (40, 40, 40, 30, 12, 5)) is None
    assert "short" not in Facts().model_dump(mode="json")
    assert Facts.model_validate(Facts(short=found).model_dump(mode="json")).short == found
