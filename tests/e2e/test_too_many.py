"""Plans that no machine could hold are refused before they are made, with their size."""

from __future__ import annotations

import pytest

from tests.e2e.runs import ddbench


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--seeds", "1000000"], "2,000,000 nodes"),
        (["--eval-seeds", "200000"], "nodes"),
        (["--seeds", "1", "--random-seeds", "300000"], "nodes"),
        (["--seeds", "9" * 30], "repetitions"),
    ],
)
def test_a_plan_of_too_many_nodes_is_refused_with_their_number(tmp_path, capsys, options, says):
    assert ddbench("plan", "--methods", "random", "--ipc", "1", *options, "--out", tmp_path) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and says in said[0] and "most" in said[0]
