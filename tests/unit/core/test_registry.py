"""Registries: names, their owners, drafts that are taken whole, and messages that help."""

from __future__ import annotations

import re

import pytest

from ddbench import ArchInfo, ArtifactKind, DatasetRecord, MethodInfo, ProtocolInfo, Standing
from ddbench.core.errors import PluginError, UsageError, unknown
from ddbench.core.plugin.loader import Registries
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
    ("typed", "hint", "own"),
    [
        ("randon", "did you mean random?", ""),
        ("kmaens", "did you mean kmeans?", ""),
        ("xyz", "known: kmeans, random", "; your own: `pip install -e FOLDER` of its package, or --plugin FILE.py"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(methods, typed, hint, own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    add(methods, ALICE, info("random"), info("kmeans"))
    with pytest.raises(UsageError) as raised:
        methods.get(typed)
    assert str(raised.value) == f"unknown method '{typed}'; {hint} (see `ddbench list methods`){own}"


@pytest.mark.parametrize(
    ("there", "own"),
    [
        ("ddbench-mine/pyproject.toml", "; ddbench-mine is here and not installed: `pip install -e ddbench-mine`"),
        ("mine.py", "; mine.py is here: add --plugin mine.py"),
    ],
)
def test_a_plugin_that_lies_here_and_is_not_known_is_answered_with_what_makes_it_known(
    methods, there, own, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).touch()
    add(methods, ALICE, info("mite"))
    for ask in (methods.get, methods.named):
        with pytest.raises(UsageError) as raised:
            ask("mine")
        assert str(raised.value).endswith(own)
    assert own not in str(unknown("format", "mine", ["table"], "ddbench run --help"))


def test_an_unknown_name_in_an_empty_registry():
    assert "known: none" in str(unknown("method", "x", [], "ddbench list methods"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Peek"}, "must match"),
        ({"name": "2peek"}, "must match"),
        ({"name": "pe-ek"}, "must match"),
        ({"kind": "coreset"}, "none of distillation, selection, reference"),
        ({"target": "peek.Peek"}, "module:name"),
        ({"params": "peek"}, "module:name"),
        ({"version": 0}, "version 0 is not an integer from 1"),
        ({"axes": frozenset({"budget", "time"})}, r"unknown axes \['time'\]"),
    ],
)
def test_a_malformed_record_is_refused(fields, message):
    with pytest.raises(PluginError, match=message):
        info(**fields)


def data_set(name="dots", **fields):
    return DatasetRecord(name, "dots:read", "…", **fields)


def family(name="net", bases=("net",), **fields):
    return ArchInfo(name, bases, "net:build", "…", **fields)


def protocol(name="rule", version=1, **fields):
    return ProtocolInfo(name, version, "rule:Rule", "rule:Params", "…", **fields)


def kind(name="map", version=1, build="map:build"):
    return ArtifactKind(name, version, "map:Params", build, "…")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: data_set("../Stripes x"), "data set name '../Stripes x' must match ^[a-z][a-z0-9_-]*$"),
        (lambda: data_set(download="dots"), "data set 'dots': download 'dots' is not of the form"),
        (lambda: data_set(files="dots.npz"), "files is 'dots.npz', not a tuple of file names"),
        (lambda: data_set(version=0), "data set 'dots': version 0 is not an integer from 1"),
        (lambda: data_set(mean=(0.5,)), "are not one number per channel each"),
        (lambda: data_set(mean=(0.5,), std=(0.1, 0.2)), "are not one number per channel each"),
        (lambda: data_set(mean=(0.5,), std=(0.0,)), "must be finite, and std above 0"),
        (lambda: data_set(mean=(float("nan"),), std=(0.1,)), "must be finite, and std above 0"),
        (lambda: family("my-net"), "architecture name 'my-net' must match ^[a-z][a-z0-9_]*$"),
        (lambda: family(bases=("my-net",)), "architecture 'net': bases holds 'my-net', which must match"),
        (lambda: family(bases="net"), "bases is 'net', not a tuple of names"),
        (lambda: family(bases=()), "bases is empty"),
        (lambda: family(norms=()), "norms is empty"),
        (lambda: family(variants=("a-b",)), "variants holds 'a-b'"),
        (lambda: family(width="64"), "width '64' is not an integer from 1"),
        (lambda: family(version=0), "architecture 'net': version 0"),
        (lambda: protocol("Rule"), "protocol name 'Rule' must match ^[a-z][a-z0-9_-]*$"),
        (lambda: protocol(version="1"), "protocol 'rule': version '1'"),
        (lambda: protocol(students="pixels"), "students is 'pixels', not a tuple of names"),
        (lambda: Standing(own_recipe=("native",)), "own_recipe is ('native',), not the name of a protocol"),
        (lambda: kind("a/b"), "artifact kind name 'a/b' must match ^[a-z][a-z0-9_-]*$"),
        (lambda: kind(version=0), "artifact kind 'map': version 0"),
        (lambda: kind(build="build"), "artifact kind 'map': build 'build' is not of the form"),
    ],
)
def test_a_malformed_record_of_the_other_hooks_is_refused(make, message):
    with pytest.raises(PluginError, match=re.escape(message)):
        make()


def test_a_sound_record_of_every_hook_is_taken():
    sound = [
        info(),
        data_set("my-dots_2", mean=(0.0, 0.5), std=(0.1, 0.2), version=2),
        family("net", ("net1", "net2"), norms=("nn",), variants=("ap",)),
        protocol("my-rule", students=("ntk-fc3", "convnet3"), standing=Standing("rules", own_recipe="native")),
        kind("my-map", 3),
    ]
    for registry, record in zip(Registries().by_hook().values(), sound, strict=True):
        draft = registry.draft(Origin("dist", "dist", "1", "dist"))
        draft.add(record)
        draft.commit()
        assert list(registry) == [record]
