"""Suites whose author spells as papers do: the same plan, key for key, as with the members' own names."""

from __future__ import annotations

import pytest

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.profiles import profile
from ddbench.plan import grid, planner, typed
from ddbench.plan import suite as suites

OWN = {
    "methods": ["datm", "kmeans_soft", {"name": "dm", "label": "DM-mine"}], "datasets": ["digits"],
    "budget": {"ipc": [1, 2]}, "archs": ["convnet3-w8"], "eval_archs": ["convnet3-w8", "mlp", "resnet18-w8-bn"],
    "protocols": ["hard", "hard-fixed@1"], "profile": "smoke", "set": {"datm": {"iterations": 2}},
    "exclude": [{"method": "datm", "ipc": 2, "protocol": "hard"}, {"dataset": "digits", "eval_arch": "mlp", "ipc": 2}],
}  # fmt: skip
TYPED = {
    "methods": ["DATM", "K-Means_Soft", {"name": "DM", "label": "DM-mine"}], "datasets": ["Digits", "digits"],
    "budget": {"ipc": [1, 2]}, "archs": ["ConvNetW8D3"], "eval_archs": ["ConvNet-W8", "MLP", "ResNet18BN-w8"],
    "protocols": ["Hard", "Hard_Fixed@1"], "profile": "Smoke", "set": {"Datm": {"iterations": 2}},
    "exclude": [{"method": "DATM", "ipc": 2, "protocol": "HARD"}, {"dataset": "DIGITS", "eval_arch": "MLP", "ipc": 2}],
}  # fmt: skip


def planned(content):
    suite = suites.parse(content, "here")
    return planner.make(grid.build(suite, installed(), profile(suite.profile)))


def test_spellings_change_no_key_no_label_and_no_document():
    own, other = planned(OWN), planned(TYPED)
    assert list(own.nodes) == list(other.nodes)
    assert [node.document for node in own.nodes.values()] == [node.document for node in other.nodes.values()]
    assert [row.label for row in other.grid.rows][-3:] == ["datm (iterations=2)", "kmeans_soft", "DM-mine"]
    assert len(own.entries) == len(other.entries)


def test_preprocessing_is_named_alike():
    own, other = (
        planned({"methods": ["random"], "budget": {"ipc": [1]}, "profile": "smoke", "preprocess": [name]})
        for name in ("zca-kornia", "ZCA")
    )
    assert list(own.nodes) == list(other.nodes)


def test_options_override_a_suite_however_both_spell_the_method():
    suite = suites.parse({**OWN, "set": {"DATM": {"iterations": 2}}}, "here")
    over = typed.overridden(suite, [("datm", "iterations", 7), ("Dm", "lr_img", 0.5)], installed())
    assert over.set == {"datm": {"iterations": 7}, "dm": {"lr_img": 0.5}}


def test_one_parameter_under_two_spellings_is_refused():
    content = {**OWN, "set": {"DATM": {"iterations": 2}, "datm": {"iterations": 3}}}
    with pytest.raises(UsageError, match="datm is datm, for which iterations is set twice"):
        planned(content)


def test_labels_are_the_authors_own():
    suite = suites.parse({**OWN, "methods": [{"name": "KMeans", "label": "DATM"}, "DATM_soft"], "set": {}}, "here")
    found = typed.canonical(suite.model_copy(update={"exclude": ()}), installed())
    assert [(entry.name, entry.label) for entry in found.methods] == [("kmeans", "DATM"), ("DATM_soft", None)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ["RANDON"]}, "unknown method 'RANDON'; did you mean random"),
        ({"datasets": ["CIFAR11"]}, "unknown data set 'CIFAR11'; did you mean cifar10"),
        ({"archs": ["ResNet"]}, "unknown architecture 'ResNet'; did you mean resnet18"),
        ({"protocols": ["Hardd"]}, "unknown protocol 'Hardd'; did you mean hard"),
        ({"preprocess": ["meanstdd"]}, "unknown preprocessing 'meanstdd'; did you mean meanstd"),
    ],
)
def test_what_means_nothing_is_refused_with_the_nearest(change, message):
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        planned({"methods": ["random"], "budget": {"ipc": [1]}, "profile": "smoke", **change})
