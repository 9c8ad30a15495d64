"""A whitening of few large images: a factor instead of a matrix, and the same map."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ddbench.core.api import Preprocess
from ddbench.data.space import params
from ddbench.data.space.ids import ZCA
from ddbench.data.space.matrices import MATRICES
from ddbench.data.space.params import DENSE, ZCAParams, fitting_mb, is_thin
from ddbench.data.space.pixels import matrices_of
from ddbench.data.space.preprocess import fronts, load_whitening
from ddbench.data.space.visible import unwhiten
from ddbench.data.space.whitening import build, fit, fit_thin

CPU = torch.device("cpu")
MEAN, STD = (0.3, 0.4, 0.5), (0.2, 0.25, 0.3)


def images(n: int, side: int, seed: int = 0) -> Tensor:
    """Pixels in [0, 1] whose neighbours are correlated."""
    noise = torch.rand(n, 3, side + 2, side + 2, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(noise, 3, stride=1)


@pytest.mark.parametrize("variant", ["kornia", "frepo", "kip"])
@pytest.mark.parametrize(("n", "side"), [(2, 4), (17, 6), (90, 8)])
@pytest.mark.parametrize("eps", [0.1, 1e-3])
def test_the_factor_is_the_same_map_as_the_matrix(variant: Any, n: int, side: int, eps: float) -> None:
    rows = fronts(MEAN, STD, CPU)[variant](images(n, side))
    wanted = ZCAParams(variant=variant, eps=eps)
    mean, matrix = fit(lambda: iter(rows.split(7)), wanted)
    thin, factor, rest = fit_thin(lambda: iter(rows.split(7)), wanted)
    assert torch.equal(mean, thin) and factor.shape == (rows.shape[1], n)
    found = rest * torch.eye(len(mean)) - factor @ factor.T
    torch.testing.assert_close(found, matrix, atol=2e-6 * float(rest), rtol=0)


@pytest.mark.parametrize("block", [1, 50, 10**9])
def test_columns_may_be_taken_in_any_pieces(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    rows = images(9, 5).flatten(1)
    usual = fit_thin(lambda: iter([rows]), ZCAParams())
    monkeypatch.setattr("ddbench.data.space.whitening._BLOCK", block)
    mean, factor, rest = fit_thin(lambda: iter([rows]), ZCAParams())
    torch.testing.assert_close(factor @ factor.T, usual[1] @ usual[1].T, atol=1e-6, rtol=0)
    assert torch.equal(rest, usual[2]) and torch.allclose(mean, usual[0])


def test_one_image_is_too_few() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        fit_thin(lambda: iter([torch.rand(1, 12)]), ZCAParams())


@pytest.mark.parametrize(
    ("n", "side", "channels", "thin"),
    [(500, 64, 3, False), (50_000, 32, 3, False), (10, 128, 1, False), (1000, 74, 3, True), (1000, 129, 1, True),
     (20_000, 128, 3, True), (60_000, 128, 3, False), (27_648, 96, 3, False), (27_647, 96, 3, True)],
)  # fmt: skip
def test_images_up_to_128_grey_pixels_have_a_matrix_as_ever(n: int, side: int, channels: int, thin: bool) -> None:
    assert is_thin(n, channels * side * side) == thin and DENSE == 128 * 128


def test_no_whitening_of_few_images_takes_hundreds_of_gigabytes() -> None:
    assert fitting_mb(1000, 3 * 224 * 224) < 3000 < 10**6 < fitting_mb(10**6, 3 * 224 * 224)


@pytest.fixture(params=sorted(ZCA))
def built(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(preprocessing, pixels, the folder of its matrices), fitted as for images of more than DENSE numbers."""
    monkeypatch.setattr(params, "DENSE", 100)
    pixels = images(40, 8)

    class Train:
        def __len__(self) -> int:
            return len(pixels)

        def pixels(self, index: Tensor) -> Tensor:
            return pixels[index].clone()

    facts = SimpleNamespace(name="mine", mean=MEAN, std=STD)
    ctx: Any = SimpleNamespace(train=Train(), dataset=facts, device=CPU, progress=lambda *done: None)
    build(ctx, tmp_path, ZCAParams(variant=ZCA[request.param]))
    return request.param, pixels, tmp_path


def test_a_thin_artifact_whitens_as_the_matrix_does_and_is_undone(built: Any) -> None:
    name, pixels, place = built
    assert {key: part.shape for key, part in load_file(place / MATRICES).items()} == {
        "mean": (192,), "factor": (192, 40), "rest": (1,),
    }  # fmt: skip
    assert set(matrices_of(place)) == {"mean", "factor", "rest"}
    rows = fronts(MEAN, STD, CPU)[ZCA[name]]
    transform = load_whitening(name, place, CPU, rows)
    given = torch.cat([pixels[:5], images(5, 8, seed=3)])
    mean, matrix = fit(lambda: iter([rows(pixels.clone())]), ZCAParams(variant=ZCA[name]))
    white = transform(given.clone())
    torch.testing.assert_close(white.flatten(1), (rows(given.clone()) - mean) @ matrix, atol=2e-5, rtol=1e-5)
    if name != "zca-kip":
        back = unwhiten(white.numpy(), transform.preprocess, place, MEAN, STD)
        torch.testing.assert_close(torch.from_numpy(back), given, atol=2e-5, rtol=0)
    assert transform.preprocess == Preprocess(id=name, matrices=transform.preprocess.matrices) and not transform.cheap
