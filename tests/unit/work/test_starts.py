"""What a cell is charged for that starts from another row's set: each artifact once, as far as either can open it."""

from __future__ import annotations

import pytest

from ddbench.core.plugin.loader import installed
from ddbench.work.starts import inputs_of
from tests.unit.plan.test_planner import nodes, planned

WINDOW = {"name": "mtt", "label": "mtt", "params": {"expert_epochs": 4, "max_start": 1, "match_snapshots": 1}}
"""Opens a quarter of its experts: one of four epochs."""


@pytest.fixture(scope="module")
def documents():
    made = planned(methods=[WINDOW, "kmeans_soft"], protocols=["native"], preprocess=["zca-kornia"])
    found = {node.document.label: node.document for node in nodes(made, "cell")}
    return found, made.grid.data[0].info


def shares(document, start, info):
    found = inputs_of(document.model_copy(update={"initial": start}), (), installed(), info)
    assert len(set(found.artifacts.values())) == len(found.artifacts), "each artifact once"
    return {found.artifacts[name][0]: share for name, share in found.shares.items()}


def test_an_artifact_that_both_read_is_opened_as_far_as_the_one_that_opens_more(documents):
    cells, info = documents
    mtt, soft, kmeans = (cells[name] for name in ("mtt", "kmeans_soft", "kmeans"))
    assert mtt.artifacts["experts"] == soft.artifacts["experts"]
    assert shares(mtt, None, info) == {"experts": 0.25, "zca": 1.0}
    assert shares(soft, mtt, info) == shares(mtt, soft.model_copy(update={"initial": None}), info) == {
        "experts": 1.0, "zca": 1.0
    }  # fmt: skip
    assert shares(mtt, kmeans, info) == {"experts": 0.25, "zca": 1.0, "features": 1.0}


def test_a_start_of_a_start_is_paid_for_too(documents):
    cells, info = documents
    assert shares(cells["mtt"], cells["kmeans_soft"], info) == {"experts": 1.0, "zca": 1.0, "features": 1.0}
