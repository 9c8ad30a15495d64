"""Data sets that are damaged or odd: npz files, folders of images, IDX files, batches of CIFAR-10, archives."""

from __future__ import annotations

import contextlib
import io
import pickle
import shutil
import tarfile
import warnings
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from ddbench.core.store.files import home
from tests.fuzz.mutate import WORDS, damaged, mutated


def data_files(rng: Random, folder: Path) -> list[str]:
    x = np.random.default_rng(rng.randrange(99)).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    y = np.arange(40) % 4
    change = rng.randrange(8)
    x = [x, x / 255.0, x * 1.0, x[..., None], x[:, :4], x.astype(np.int64), x > 9, x[:0]][change]
    y = [y, y + 1, y.astype(float), y[:9], -y, y[:, None], y * 10**9, y.astype("U3")][rng.randrange(8)]
    if rng.random() < 0.1:
        x = x.astype(rng.choice(["<M8[s]", "c8", "V3", "O", "f2", "S2", ">u2", "u8"]))
    names = ["x_train", "y_train", "x_test", "y_test"]
    if rng.random() < 0.2:
        names[rng.randrange(4)] = rng.choice(
            ["x_val", "X_train", "train_images", "labels", "y", "a/b", "..", "x_train "]
        )
    np.savez(folder / "x.npz", **dict(zip(names, [x, y, x[::2], y[::2]], strict=True)))
    if rng.random() < 0.4:
        (folder / "x.npz").write_bytes(damaged(rng, (folder / "x.npz").read_bytes()))
    shutil.rmtree(home() / "data" / "mine", ignore_errors=True)
    return ["data", "prepare", "mine=npz:x.npz", *rng.choice([[], [], ["--allow-copies"]])]


def _idx(array: Any) -> bytes:
    """An array of bytes as MNIST's files have it."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def _picture(rng: Random) -> bytes:
    """A PNG, GIF, BMP or JPEG of 8×8 pixels."""
    pixels = np.frombuffer(rng.randbytes(192), dtype=np.uint8).reshape(8, 8, 3)
    mode = rng.choice(["RGB", "L", "1", "P", "RGBA", "CMYK", "I;16"])
    image = Image.fromarray(pixels)
    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    forms = ("PNG",) if mode in ("RGBA", "I;16") else ("TIFF",) if mode == "CMYK" else ("PNG", "GIF", "BMP")
    held = io.BytesIO()
    image.save(held, rng.choice(forms))
    return held.getvalue()


def _batches(rng: Random) -> dict[str, bytes]:
    """Six files as CIFAR-10 has them, of ten images each."""
    x = np.frombuffer(rng.randbytes(3072 * 10), dtype=np.uint8).reshape(10, 3072)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    held = {name: {b"data": np.roll(x, i, axis=1), b"labels": list(range(10))} for i, name in enumerate(names)}
    if rng.random() < 0.2:
        name = rng.choice(names)
        held[name] = mutated(rng, held[name])
    return {name: pickle.dumps(batch) for name, batch in held.items()}


def folders(rng: Random, folder: Path) -> list[str]:
    """Folders of images, IDX files and batches of CIFAR-10, with damaged members, odd names, links and odd levels."""
    form = rng.choice(["folder", "folder", "folder", "idx", "cifar"])
    odd = [*(w[:40] for w in WORDS if w and "\0" not in w and "/" not in w and w != "\ud800"), ".x", "7", "07", "Train"]
    if form == "folder":
        parts = rng.choice([["."], ["train", "test"], ["Training", "testing"], ["train", "val", "test"], ["train"]])
        classes = rng.choice([["a", "b"], ["0", "1", "10"], ["1", "b"], ["a", rng.choice(odd)]])
        files = {f"{part}/{c}/{i}.png": _picture(rng) for part in parts for c in classes for i in range(3)}
    elif form == "idx":
        x, y = np.arange(40 * 64).reshape(40, 8, 8) % 251, np.arange(40) % 4
        files = {f"{part}-{what}-ubyte": _idx(array[s]) for part, s in (("train", slice(0, 24)), ("t10k", slice(24, 40)))
                 for what, array in (("images-idx3", x), ("labels-idx1", y))}  # fmt: skip
    else:
        files = _batches(rng)
    for _ in range(rng.choice([0, 1, 1, 2])):
        name = rng.choice(list(files))
        how = rng.randrange(5)
        if how == 0:
            files[name] = damaged(rng, files[name])
        elif how == 1:
            files[f"{name}.{rng.choice(odd)}"] = files.pop(name)
        elif how == 2:
            files.pop(name)
        elif how == 3:
            files[rng.choice(odd)] = files.get(name, b"")
        else:
            files[str(Path(name).parent / rng.choice(odd) / "x.png")] = b"x"
        if not files:
            break
    place = folder / "d"
    place.mkdir()
    for name, content in files.items():
        with contextlib.suppress(OSError, UnicodeError):
            file = place / name
            assert place.resolve() in file.resolve().parents, "an input stays in its folder"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    if rng.random() < 0.1:
        (place / "link").symlink_to(rng.choice([".", "..", "link", "nothing", "/dev/zero"]))
    shutil.rmtree(home() / "data" / "mine", ignore_errors=True)
    return ["data", "prepare", f"mine={form}:d"]


def archives(rng: Random, folder: Path) -> list[str]:
    """Zip and tar files that were cut or changed, with members that lead out, links and lies about sizes."""
    scheme = rng.choice(["cifar", "tiny"])
    if scheme == "cifar":
        members = {f"cifar-10-batches-py/{name}": batch for name, batch in _batches(rng).items()}
    else:
        names = [f"{c}/images/{c}_{i}.JPEG" for c in ("n01443537", "n01629819") for i in range(3)]
        members = {f"t/train/{name}": _picture(rng) for name in names} | {"t/wnids.txt": b"n01443537\nn01629819\n"}
        members |= {f"t/val/images/val_{i}.JPEG": _picture(rng) for i in range(2)}
        members["t/val/val_annotations.txt"] = b"val_0.JPEG\tn01443537\t0\t0\t9\t9\nval_1.JPEG\tn01629819\t0\t0\t9\t9\n"
    if rng.random() < 0.5:
        name = rng.choice(list(members))
        members[name] = damaged(rng, members[name])
    if rng.random() < 0.3:
        name = rng.choice(
            ["../x", "/x", "c:/x", "t", "t/", "ü", "a\\..\\b", "\n", "a" * 300, "t/train/x/images/y.JPEG"]
        )
        members[name] = b"x"
    held = io.BytesIO()
    form = rng.choice(["zip", "tar", "tar.gz", "tar.xz"])
    if form == "zip":
        with warnings.catch_warnings(), zipfile.ZipFile(held, "w", rng.choice([0, 8, 12, 14])) as zipped:
            warnings.simplefilter("ignore")
            for name, content in [*members.items(), *list(members.items())[: rng.randrange(2)]]:
                info = zipfile.ZipInfo(name)
                info.external_attr = rng.choice([0] * 50 + [0o120777 << 16, 0o020666 << 16])
                zipped.writestr(info, content)
    else:
        with tarfile.open(fileobj=held, mode=f"w:{form.partition('.')[2]}") as tar:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                member.type = rng.choice([tarfile.REGTYPE] * 50 + [tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
                member.linkname = "/etc/passwd" if member.type == tarfile.SYMTYPE else ""
                tar.addfile(member, io.BytesIO(content))
    raw = held.getvalue()
    (folder / f"d.{form}").write_bytes(damaged(rng, raw) if rng.random() < 0.5 else raw)
    shutil.rmtree(home() / "data" / "mine", ignore_errors=True)
    return ["data", "prepare", f"mine={scheme}:d.{form}"]
