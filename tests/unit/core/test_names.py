"""What users type for a name: one member is meant, or all that could be are named."""

from __future__ import annotations

import pytest

from ddbench import ArchInfo, DatasetRecord, MethodInfo
from ddbench.core.errors import PluginError, UsageError
from ddbench.core.names import folded, meant, nearest
from ddbench.core.plugin.loader import installed
from ddbench.core.plugin.registry import Origin, Registry
from ddbench.data.space import ids

KNOWN = {"kcenter": (), "facility_location": (), "hard-fixed": (), "tiny_one": ("Small-1",)}


@pytest.mark.parametrize("text", ["K-Center", "KCENTER", "k_center", "k center", "K‑Center".replace("‑", "‐")])
def test_case_hyphens_and_underscores_say_nothing(text):
    assert meant(text, KNOWN) == ["kcenter"]


@pytest.mark.parametrize(
    ("text", "name"),
    [("facility-location", "facility_location"), ("FacilityLocation", "facility_location"),
     ("Hard_Fixed", "hard-fixed"), ("small1", "tiny_one")],
)  # fmt: skip
def test_names_with_separators_and_declared_aliases_are_meant_likewise(text, name):
    assert meant(text, KNOWN) == [name]


def test_a_name_means_itself_though_another_folds_to_it():
    known = {"k_center": (), "kcenter": ()}
    assert meant("k_center", known) == ["k_center"]
    assert meant("K-Center", known) == ["k_center", "kcenter"]


@pytest.mark.parametrize("text", ["", "-", "__", "kcentre"])
def test_what_is_like_no_name_means_none(text):
    assert meant(text, KNOWN) == []


def test_likeness_is_measured_without_case():
    assert nearest("RANDON", ["random", "kmeans"]) == ["random"]
    assert nearest("Z-Center", ["kcenter", "random"]) == ["kcenter"]
    assert nearest("xyz", ["kcenter", "random"]) == []


def test_folding_twice_changes_nothing():
    for text in ("K-Center", "ConvNetW128D3", "Straße_x"):
        assert folded(folded(text)) == folded(text)


def member(name: str, **fields) -> MethodInfo:
    return MethodInfo(name=name, kind="selection", target=f"{name}:A", params=f"{name}:B", summary="…", **fields)


def registry_of(*members) -> Registry[MethodInfo]:
    registry = Registry("method", "ddbench list methods", MethodInfo)
    for number, one in enumerate(members):
        draft = registry.draft(Origin(f"plugin{number}", f"plugin{number}", "1", f"plugin{number}"))
        draft.add(one)
        draft.commit()
    return registry


def test_members_of_plugins_are_meant_by_case_hyphens_and_what_they_declare():
    known = registry_of(member("peek_twice", aliases=("PeekTwo",)), member("other"))
    for text in ("peek_twice", "Peek-Twice", "PEEKTWICE", "peek_two", "PeekTwo"):
        assert known.named(text) == "peek_twice"


@pytest.mark.parametrize("others", [{"aliases": ("Peek-Two",)}, {}])
def test_two_members_that_could_be_meant_are_both_named(others):
    name = "looker" if others else "peektwo"
    known = registry_of(member("peek_two"), member(name, **others))
    with pytest.raises(UsageError, match=f"method 'PeekTwo' could mean {' or '.join(sorted(['peek_two', name]))}"):
        known.named("PeekTwo")
    assert known.named("peek_two") == "peek_two"


def test_the_name_of_no_member_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"unknown method .OTHR.; did you mean other"):
        registry_of(member("other")).named("OTHR")


@pytest.mark.parametrize("aliases", [["list"], ("with space",), ("",), (3,)])
def test_aliases_are_a_tuple_of_names(aliases):
    with pytest.raises(PluginError, match="aliases"):
        member("peek", aliases=aliases)
    with pytest.raises(PluginError, match="aliases"):
        DatasetRecord(name="peek", reader="a:b", summary="…", aliases=aliases)


def test_architectures_declare_aliases_for_names_of_theirs():
    with pytest.raises(PluginError, match="aliases"):
        ArchInfo(name="peek", bases=("peek",), target="a:b", summary="…", aliases={"a b": "peek"})


@pytest.mark.parametrize(
    ("text", "name"),
    [("MNIST", "mnist"), ("FashionMNIST", "fashionmnist"), ("Fashion-MNIST", "fashionmnist"), ("CIFAR10", "cifar10"),
     ("CIFAR-100", "cifar100"), ("Tiny-ImageNet", "tinyimagenet"), ("Tiny", "tinyimagenet"), ("SVHN", "svhn")],
)  # fmt: skip
def test_data_sets_are_called_as_papers_call_them(text, name):
    assert installed().datasets.named(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [("zca", "zca-kornia"), ("ZCA", "zca-kornia"), ("ZCA_KIP", "zca-kip"), ("MeanStd", "meanstd"),
     ("meanstd_mtt", "meanstd-mtt")],
)  # fmt: skip
def test_preprocessings_are_called_as_papers_call_them(text, name):
    assert ids.named(text) == name


def test_an_unknown_preprocessing_is_refused():
    with pytest.raises(UsageError, match="unknown preprocessing 'zcaa'"):
        ids.named("zcaa")


@pytest.mark.parametrize(
    ("text", "name"), [("TM", "mtt"), ("tm", "mtt"), ("k-center-greedy", "kcenter"), ("KCenterGreedy", "kcenter")]
)
def test_names_of_papers_mean_the_method(text, name):
    assert installed().methods.named(text) == name
