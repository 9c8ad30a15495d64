"""Foreign tensors are looked at before anything is computed from them, foreign files before they are unpacked."""

from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest
import torch
from scipy.io import savemat

from ddbench.core.errors import DataError
from ddbench.data.exchange import sound
from ddbench.data.exchange.sound import check_archive, check_tensor
from ddbench.data.readers.matfile import load_mat

PLAIN = torch.rand(10, 1, 8, 8)
ODD = {
    "sparse": (PLAIN.to_sparse(), "sparse coo"),
    "sparse rows": (PLAIN.reshape(10, 64).to_sparse_csr(), "sparse csr"),
    "nowhere": (PLAIN.to("meta"), "meta"),
    "quantised": (torch.quantize_per_tensor(PLAIN, 0.1, 0, torch.quint8), "quint8"),
    "complex": (PLAIN.to(torch.complex64), "complex64"),
    "eight bits": (PLAIN.to(torch.float8_e5m2), "float8"),
    "256 GB": (torch.zeros(1).expand(10**9, 1, 8, 8), "GiB"),
    "256 MB": (torch.zeros(1).expand(10**6, 1, 8, 8), "of which the file holds"),
    "labels of 8 TB": (torch.zeros(1, dtype=torch.int64).expand(10**12, 1, 1), "GiB"),
    "flat": (PLAIN.flatten(), "dimensions"),
    "one number": (torch.tensor(1.0), "dimensions"),
    "nothing": (PLAIN[:0], "holds no images"),
    "nested": (torch.nested.nested_tensor([PLAIN[0], PLAIN[1]]), "nested"),
}


@pytest.mark.parametrize(("tensor", "why"), ODD.values(), ids=ODD)
def test_what_is_no_plain_tensor_is_refused(tensor, why):
    with pytest.raises(DataError, match=why):
        check_tensor(tensor, "images", "s.pt", (3, 4))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.float16, torch.bfloat16, torch.float64])
def test_plain_numbers_are_taken_views_included(dtype):
    check_tensor(PLAIN.to(dtype), "images", "s.pt", (3, 4))
    check_tensor(PLAIN.to(dtype).transpose(0, 1)[:, ::2], "images", "s.pt", (3, 4))
    check_tensor(PLAIN.to(dtype)[:1].expand(20, 1, 8, 8), "images", "s.pt", (3, 4))


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", b"0" * 10**6)
    check_archive(tmp_path / "a.npz")
    monkeypatch.setattr(sound, "LARGEST", 10**5)
    with pytest.raises(DataError, match="would unpack"):
        check_archive(tmp_path / "a.npz")


def test_arrays_of_mat_files_are_read_by_another_process(tmp_path, monkeypatch):
    X = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 5), dtype=np.uint8)
    savemat(tmp_path / "a.mat", {"X": X, "y": np.arange(5)[:, None]})
    (tmp_path / "scipy.py").write_text("raise SystemExit('a module of the working folder was imported')")
    monkeypatch.chdir(tmp_path)
    found = load_mat(tmp_path / "a.mat", ("X", "y"))
    assert np.array_equal(found["X"], X) and found["y"].ravel().tolist() == list(range(5))


@pytest.mark.parametrize("damage", ["cut", "noise", "text", "lacking", "cells"])
def test_a_damaged_mat_file_is_bad_data(tmp_path, damage):
    path = tmp_path / "a.mat"
    savemat(path, {"X": np.zeros((4, 4, 3, 2)), "y": np.array([1, 2])})
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "noise":
        path.write_bytes(os.urandom(2000))
    elif damage == "text":
        path.write_text("no mat file")
    elif damage == "lacking":
        savemat(path, {"X": np.zeros(3)})
    else:
        savemat(path, {"X": np.array([{"a": 1}], dtype=object), "y": np.array([1])})
    with pytest.raises(DataError, match=r"a\.mat: not a readable"):
        load_mat(path, ("X", "y"))
