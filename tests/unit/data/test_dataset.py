import pytest

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.profiles import profile
from ddbench.data.dataset import open_data
from ddbench.plan import grid, suite
from tests.unit.data import data_files as files

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


def test_a_val_split_that_was_split_off_is_said_once_where_it_is_used(tmp_path, fresh_home):
    """Papers that condense from train ∪ val have none."""
    tests = {"x_test": 255 - files.pixels(9, 8, 8), "y_test": files.cycle(9, 3)}
    name = f"mine=npz:{files.write_npz(tmp_path / 'a.npz', per_class=40, **tests)}"
    default, paper = (open_data(name, None, split, "meanstd", installed()).info.notes for split in ("default", "paper"))
    said = "the source has no val split: stratified 108/12 images (train/val), fixed seed"
    assert default.count(said) == 1
    assert paper == tuple(note for note in default if note != said)
