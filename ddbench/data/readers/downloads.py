"""Fetch the files of registered data sets through torchvision, which knows mirrors and checksums (imports torch)."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

TINY_IMAGENET_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"


def mnist(folder: Path) -> None:
    """MNIST's four files into ``folder/MNIST/raw``."""
    from torchvision.datasets import MNIST

    with redirect_stdout(sys.stderr):
        MNIST(str(folder), download=True)


def fashionmnist(folder: Path) -> None:
    """FashionMNIST's four files into ``folder/FashionMNIST/raw``."""
    from torchvision.datasets import FashionMNIST

    with redirect_stdout(sys.stderr):
        FashionMNIST(str(folder), download=True)


def svhn(folder: Path) -> None:
    """SVHN's train and test files into ``folder``."""
    from torchvision.datasets import SVHN

    for part in ("train", "test"):
        url, name, md5 = SVHN.split_list[part]
        _fetch(url, folder, name, md5)


def cifar10(folder: Path) -> None:
    """CIFAR-10's archive into ``folder``; it is not unpacked."""
    from torchvision.datasets import CIFAR10

    _fetch(CIFAR10.url, folder, CIFAR10.filename, CIFAR10.tgz_md5)


def cifar100(folder: Path) -> None:
    """CIFAR-100's archive into ``folder``; it is not unpacked."""
    from torchvision.datasets import CIFAR100

    _fetch(CIFAR100.url, folder, CIFAR100.filename, CIFAR100.tgz_md5)


def tinyimagenet(folder: Path) -> None:
    """TinyImageNet's archive into ``folder``; its authors publish no checksum."""
    _fetch(TINY_IMAGENET_URL, folder, "tiny-imagenet-200.zip", None)


def _fetch(url: str, folder: Path, name: str, md5: str | None) -> None:
    from torchvision.datasets.utils import download_url

    with redirect_stdout(sys.stderr):
        download_url(url, str(folder), name, md5)
