"""Images of one's own in suites: framed, told apart, held against networks and against the memory of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ddbench.core.errors import DataError, UsageError
from ddbench.core.plugin.loader import import_target, installed
from ddbench.core.store.folder import Store
from ddbench.models.names import parse, too_few_pixels
from ddbench.plan import memory, suite
from ddbench.plan.memory import Peaks, forecast_text, in_memory, whitenings
from ddbench.work.executors.sharing import share
from tests.unit.data import data_files as files
from tests.unit.plan.test_planner import nodes, planned

pytestmark = pytest.mark.usefixtures("fresh_home")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Images of 12 × 12 pixels below a comma."""
    return files.write_folder(tmp_path / "Smith, 2024", size=12)


def revisions(made):
    return [(data.spec.revision, data.info.channels, data.info.size) for data in made.grid.data]


@pytest.mark.parametrize("form", ["{}", "folder:{}"])
def test_a_suite_says_where_images_are_and_how_they_are_framed(place, form):
    path = form.format(place)
    entries = [{"name": "my", "path": path, "resize": 8, "crop": "center"}, {"name": "my", "path": path, "gray": True}]
    (small, *shape), (grey, *other) = revisions(planned(datasets=entries))
    assert (shape, other) == ([3, 8], [1, 12]) and small != grey
    assert revisions(planned(datasets=[{"name": "my", "resize": 8, "crop": "center"}])) == [(small, 3, 8)]
    assert revisions(planned(datasets=[f"my=folder:{place}"])) == [
        next(r for r in revisions(planned(datasets=[{"name": "my", "path": path}])))
    ]


def test_a_framing_that_no_copy_has_is_refused_with_the_command(place):
    planned(datasets=[{"name": "my", "path": str(place), "resize": 8}])
    with pytest.raises(
        DataError, match=r"not prepared with --resize 9, only with --resize 8: run `ddbench data prepare"
    ):
        planned(datasets=[{"name": "my", "resize": 9}])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "my", "resize": 512}, r"datasets\.0\.resize: images have sides of 1 to 256 pixels, not 512"),
        ({"name": "my", "resize": "64"}, r"datasets\.0\.resize"),
        ({"name": "my", "crop": "centre"}, r"datasets\.0\.crop: .*'center' or 'pad'"),
        ({"name": "my", "crops": "pad"}, r"unknown key 'datasets\.0\.crops'; did you mean crop"),
        ({"name": "my", "gray": True, "rgb": True}, "gray and rgb exclude each other"),
        ({"name": "my=folder:x", "path": "y"}, "name and path both say where the images are"),
        ({"name": "my", "path": " "}, "path is empty"),
        ({"name": "digits", "resize": 4}, "images of 'digits', a registered data set, stay as they are"),
        ({"name": "digits", "path": "/tmp"}, "'digits' is the name of a registered data set"),
        ({"name": "My", "path": "/tmp"}, "must match"),
        ({"name": "my", "path": "/no/such/place"}, "no such file or folder"),
    ],
)
def test_entries_that_mean_nothing_are_refused(entry, message):
    with pytest.raises(UsageError, match=message):
        planned(datasets=[entry])


def test_an_entry_of_before_is_what_it_was():
    assert suite.DatasetEntry(name="digits").text == "digits" and suite.DatasetEntry(name="digits").framing.is_plain


# --- memory


def large(place, **more):
    entry = {"name": "my", "path": str(place), "resize": 64}
    return planned(datasets=[entry], preprocess=["zca"], **more)


def test_whitening_that_does_not_fit_is_refused_while_planning(place, monkeypatch):
    made = large(place)
    need = memory.fitting_mb(18, 3 * 64 * 64)
    assert need == 6 * 8 * 12288**2 / 2**20, "not thin: up to 16,384 numbers an image all is as ever"
    monkeypatch.setattr(memory, "total_mb", lambda: need - 1)
    with pytest.raises(
        UsageError, match=r"^my: ZCA whitening of 3×64×64 pixels on 20 images takes 6\.8 GB .*--preprocess meanstd"
    ):
        memory.refuse_too_large(made)
    monkeypatch.setattr(memory, "total_mb", lambda: need + 1)
    memory.refuse_too_large(made)
    monkeypatch.setattr(memory, "total_mb", lambda: None)
    memory.refuse_too_large(made)


HERE = {"jobs": 1, "threads": 1, "device": "cpu"}


def test_images_that_do_not_fit_are_refused_while_planning(place, tmp_path, monkeypatch):
    made = planned(datasets=[{"name": "my", "path": str(place), "resize": 128}])
    monkeypatch.setattr(memory, "total_mb", lambda: 4.0)
    with pytest.raises(
        UsageError, match=r"^my: its training images take 5\.2 MB of memory, and this machine has 4\.0 MB"
    ):
        share(made, Store(tmp_path / "runs"), **HERE)


def test_the_memory_of_a_login_node_does_not_bind_a_cluster(place, tmp_path, monkeypatch):
    made = planned(datasets=[{"name": "my", "path": str(place), "resize": 128}])
    monkeypatch.setattr(memory, "total_mb", lambda: 4.0)
    assert share(made, Store(tmp_path / "runs"), executor="slurm", **HERE).elsewhere == "slurm"


def test_what_is_done_is_not_refused(place, tmp_path, monkeypatch):
    made = large(place)
    for node in made.nodes.values():
        node.state = "cached"
    monkeypatch.setattr(memory, "total_mb", lambda: 0.1)
    memory.refuse_too_large(made)
    assert forecast_text(made) == ""


def test_the_forecast_names_images_and_whitenings(place):
    made = large(place)
    assert "my (3×64×64) 1.3 MB, fitting zca of my 6.8 GB" in forecast_text(made)
    peaks = Peaks(in_memory(made.grid.data), whitenings(made.grid.data))
    (fitted,) = nodes(made, "artifact")
    assert peaks.of(fitted.document)[0] == pytest.approx(memory.fitting_mb(20, 12288) + 22 * 5 * 12288 / 2**20)
    assert whitenings(planned(datasets=["digits"]).grid.data) == {}


def test_of_two_copies_of_one_name_the_larger_counts(place):
    entries = [{"name": "my", "path": str(place), "resize": side} for side in (32, 8)]
    assert in_memory(planned(datasets=entries).grid.data) == {"my": pytest.approx(22 * 5 * 3 * 32 * 32 / 2**20)}


# --- networks


@pytest.mark.parametrize(
    ("arch", "side", "message"),
    [
        ("convnet5", 16, r"^my: convnet5 halves its images 5 times: 16 pixels are too few; convnet4 is the deepest"),
        ("convnet3", 7, r"^my: convnet3 halves its images 3 times: 7 pixels are too few; convnet2 is the deepest"),
        ("convnet1", 1, r"no ConvNet fits, but mlp and lenet do"),
        ("resnet18-ap", 14, r"^my: resnet18-ap-w64-in has instance norm of one pixel.*resnet18-ap-w64-bn fits"),
        ("vgg11", 1, r"vgg11-w64-in has instance norm of one pixel, which is 0: 1 pixels are too few"),
    ],
)
@pytest.mark.parametrize("where", ["archs", "eval_archs"])
def test_too_few_pixels_for_a_net_are_said_while_planning(place, arch, side, message, where):
    more = {where: [arch]} if where == "archs" else {where: [arch], "archs": ["mlp"]}
    with pytest.raises(UsageError, match=message):
        planned(datasets=[{"name": "my", "path": str(place), "resize": side}], **more)


@pytest.mark.parametrize(("norm", "sees"), [("in", False), ("bn", True)])
def test_a_net_that_a_method_builds_beside_the_cells_is_held_against_the_images(place, norm, sees):
    how = {
        "methods": [{"name": "frepo", "params": {"pool_norm": norm}}],
        "datasets": [{"name": "my", "path": str(place), "resize": 14}],
        "archs": ["resnet18-ap-bn"],
    }
    if sees:
        assert not any(entry.skip for entry in planned(**how).entries)
        return
    with pytest.raises(
        UsageError, match=r"no cell can run: frepo.*: resnet18-ap-w64-in has instance norm of one pixel"
    ):
        planned(**how)


@pytest.mark.parametrize("name", ["alexnet-w8-in", "vgg11-w2", "resnet18-w2", "resnet18-ap-w2", "resnet18-ap-w2-bn"])
@pytest.mark.parametrize("side", [1, 2, 3, 5, 6, 8, 12, 15, 16, 23, 24])
def test_nets_that_see_nothing_are_those_that_are_refused(name, side):
    families = installed().architectures
    arch = parse(name, families)
    net = import_target(families.get(arch.family).target)(arch, channels=3, classes=3, size=side)
    with torch.no_grad():
        out = net.train()(torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(0)))
    blind = float((out - out[0]).abs().max()) < 1e-4
    assert (too_few_pixels(arch, channels=3, size=side) is not None) == blind
