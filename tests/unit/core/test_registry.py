"""Registries: names, their owners, drafts that are taken whole, and messages that help."""

from __future__ import annotations

import pytest

from ddbench import MethodInfo
from ddbench.core.errors import PluginError, UsageError, unknown
from ddbench.core.plugin.registry import Origin, Registry

ALICE = Origin("alice", "alice", "1.0", "alice")
BOB = Origin("bob", "bob", "2.0", "bob")


def info(name: str = "peek", **fields) -> MethodInfo:
    record = {"name": name, "kind": "selection", "target": f"{name}:A", "params": f"{name}:B", "summary": "…", **fields}
    return MethodInfo(**record)


@pytest.fixture
def methods() -> Registry[MethodInfo]:
    return Registry("method", "ddbench list methods", MethodInfo)


def add(registry, origin, *members):
    draft = registry.draft(origin)
    for member in members:
        draft.add(member)
    draft.commit()


def test_a_member_is_found_with_its_origin(methods):
    add(methods, ALICE, info())
    assert methods.get("peek") == info()
    assert methods.origin("peek") == ALICE


def test_members_come_in_the_order_of_their_names(methods):
    add(methods, ALICE, info("b"), info("c"), info("a"))
    assert [member.name for member in methods] == ["a", "b", "c"]
    assert len(methods) == 3


def test_nothing_is_registered_before_commit(methods):
    methods.draft(ALICE).add(info())
    assert "peek" not in methods


def test_a_taken_name_stays_with_its_owner(methods):
    add(methods, ALICE, info())
    with pytest.raises(PluginError, match="method 'peek' is already registered by alice"):
        add(methods, BOB, info())
    assert methods.origin("peek") == ALICE


def test_one_plugin_cannot_register_a_name_twice(methods):
    with pytest.raises(PluginError, match="registered twice"):
        add(methods, ALICE, info(), info())


def test_a_member_of_another_type_is_refused(methods):
    with pytest.raises(PluginError, match="expects MethodInfo, got dict"):
        methods.draft(ALICE).add({"name": "peek"})


@pytest.mark.parametrize(
    ("typed", "hint"),
    [("randon", "did you mean random?"), ("kmaens", "did you mean kmeans?"), ("xyz", "known: kmeans, random")],
)
def test_an_unknown_name_is_answered_with_the_nearest(methods, typed, hint):
    add(methods, ALICE, info("random"), info("kmeans"))
    with pytest.raises(UsageError) as raised:
        methods.get(typed)
    assert str(raised.value) == f"unknown method '{typed}'; {hint} (see `ddbench list methods`)"


def test_an_unknown_name_in_an_empty_registry():
    assert "known: none" in str(unknown("method", "x", [], "ddbench list methods"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Peek"}, "must match"),
        ({"name": "2peek"}, "must match"),
        ({"name": "pe-ek"}, "must match"),
        ({"kind": "coreset"}, "none of distillation, selection, reference"),
        ({"target": "peek.Peek"}, "module:Class"),
        ({"params": "peek"}, "module:Class"),
        ({"axes": frozenset({"budget", "time"})}, r"unknown axes \['time'\]"),
    ],
)
def test_a_malformed_record_is_refused(fields, message):
    with pytest.raises(PluginError, match=message):
        info(**fields)
