import pytest

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.profiles import profile
from ddbench.data.dataset import open_data
from ddbench.plan import grid, suite

VIEW = {"train_size": 500}


def test_a_suite_and_an_import_open_the_same_data():
    content = {
        "methods": ["random"], "datasets": [{"name": "digits"}, {"name": "digits", "view": VIEW}],
        "budget": {"ipc": [1]}, "preprocess": ["meanstd", "zca-kornia"], "protocols": ["hard-fixed"], "split": "paper",
    }  # fmt: skip
    planned = grid.build(suite.parse(content, "test"), installed(), profile("short")).data
    assert planned == [
        open_data("digits", view, "paper", space, installed())
        for view in (None, VIEW)
        for space in ("meanstd", "zca-kornia")
    ]
    assert [item.label for item in planned] == ["digits"] * 2 + ["digits [train_size 500]"] * 2


@pytest.mark.parametrize(
    ("name", "view", "space"), [("digitz", None, "meanstd"), ("digits", {"sz": 1}, "meanstd"), ("digits", None, "zcaa")]
)
def test_a_wrong_name_is_an_error_that_says_which(name, view, space):
    wrong = next(text for text in (name, *(view or ()), space) if text not in ("digits", "meanstd"))
    with pytest.raises(UsageError, match=wrong):
        open_data(name, view, "default", space, installed())
