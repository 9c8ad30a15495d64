"""ddbench's own data sets and artifact kinds, and the schemes of data sets that are read from a path. No torch.

Constants of ``meanstd`` are those of the DC / DSA / DM authors' code (docs/explanation/data.md).
"""

from __future__ import annotations

from ddbench.core.api import ArtifactKind, DatasetRecord
from ddbench.core.plugin.hooks import hookimpl
from ddbench.core.plugin.registry import Draft
from ddbench.data import official

IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2023, 0.1994, 0.2010)
"""Mean of the per-image standard deviations, as the papers use it; the pixels' own is (.2470, .2435, .2616)."""

DATASETS: tuple[DatasetRecord, ...] = (
    DatasetRecord(
        name="digits",
        reader="ddbench.data.readers.digits_mnist_svhn:digits",
        summary="handwritten digits of scikit-learn, grey 8×8, 10 classes, 1797 images; nothing to download",
        flip=False,
        embedded=True,
        licence="CC BY 4.0 (UCI Machine Learning Repository, Optical Recognition of Handwritten Digits)",
    ),
    DatasetRecord(
        name="mnist",
        reader="ddbench.data.readers.digits_mnist_svhn:mnist",
        summary="handwritten digits, grey 28×28, 10 classes, 60,000 + 10,000 images",
        files=IDX_FILES,
        download="ddbench.data.readers.downloads:mnist",
        download_mb=12,
        flip=False,
        mean=(0.1307,),
        std=(0.3081,),
        licence="CC BY-SA 3.0 (Yann LeCun and Corinna Cortes)",
        dc_augmentation="dc_mnist",
        contents=official.MNIST_CONTENTS,
    ),
    DatasetRecord(
        name="fashionmnist",
        reader="ddbench.data.readers.digits_mnist_svhn:fashionmnist",
        summary="photographs of clothes, grey 28×28, 10 classes, 60,000 + 10,000 images",
        files=IDX_FILES,
        download="ddbench.data.readers.downloads:fashionmnist",
        download_mb=31,
        mean=(0.2861,),
        std=(0.3530,),
        licence="MIT (Zalando SE)",
        aliases=("fmnist",),
        contents=official.FASHIONMNIST_CONTENTS,
    ),
    DatasetRecord(
        name="svhn",
        reader="ddbench.data.readers.digits_mnist_svhn:svhn",
        summary="house numbers, RGB 32×32, 10 classes, 73,257 + 26,032 images (without `extra`)",
        files=("train_32x32.mat", "test_32x32.mat"),
        download="ddbench.data.readers.downloads:svhn",
        download_mb=246,
        flip=False,
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.1980, 0.2010, 0.1970),
        licence="for non-commercial use only (its authors)",
        contents=official.SVHN_CONTENTS,
    ),
    DatasetRecord(
        name="cifar10",
        reader="ddbench.data.readers.cifar:cifar10",
        summary="small photographs, RGB 32×32, 10 classes, 50,000 + 10,000 images",
        files=("cifar-10-python.tar.gz",),
        download="ddbench.data.readers.downloads:cifar10",
        download_mb=170,
        mean=CIFAR10_MEAN,
        std=CIFAR10_STD,
        contents=official.CIFAR10_CONTENTS,
    ),
    DatasetRecord(
        name="cifar100",
        reader="ddbench.data.readers.cifar:cifar100",
        summary="small photographs, RGB 32×32, 100 fine classes, 50,000 + 10,000 images",
        files=("cifar-100-python.tar.gz",),
        download="ddbench.data.readers.downloads:cifar100",
        download_mb=169,
        mean=(0.5071, 0.4866, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        contents=official.CIFAR100_CONTENTS,
    ),
    DatasetRecord(
        name="tinyimagenet",
        reader="ddbench.data.readers.tinyimagenet:read",
        summary="photographs, RGB 64×64, 200 classes, 100,000 + 10,000 images; the official val is the test set",
        files=("tiny-imagenet-200.zip",),
        download="ddbench.data.readers.downloads:tinyimagenet",
        download_mb=237,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        licence="ImageNet's terms: non-commercial research and education",
        aliases=("tiny", "tinyimagenet200"),
        contents=official.TINYIMAGENET_CONTENTS,
    ),
)

SCHEMES: dict[str, tuple[str, int]] = {
    "folder": ("ddbench.data.readers.folder:read", 3),
    "hf": ("ddbench.data.readers.parquet:read", 3),
    "npz": ("ddbench.data.readers.npz:read", 2),
    "idx": ("ddbench.data.readers.digits_mnist_svhn:idx", 1),
    "cifar": ("ddbench.data.readers.cifar:either", 1),
    "svhn": ("ddbench.data.readers.digits_mnist_svhn:svhn_copy", 1),
    "tiny": ("ddbench.data.readers.tinyimagenet:read", 2),
}
"""Readers of ``NAME=SCHEME:PATH`` with their versions, bumped when one returns something else for the same files."""
ENCODED = frozenset({"folder", "hf", "tiny"})
"""Schemes of image files, whose readers take a :class:`ddbench.data.readers.framing.Framing` as well."""

ARTIFACTS: tuple[ArtifactKind, ...] = (
    ArtifactKind(
        name="zca",
        version=2,
        params="ddbench.data.space.params:ZCAParams",
        build="ddbench.data.space.whitening:build",
        summary="whitening matrices, fitted on train",
    ),
)


@hookimpl
def ddbench_register_datasets(registry: Draft[DatasetRecord]) -> None:
    """The data sets of ``ddbench.data``."""
    for record in DATASETS:
        registry.add(record)


@hookimpl
def ddbench_register_artifacts(registry: Draft[ArtifactKind]) -> None:
    """Whitening matrices."""
    for kind in ARTIFACTS:
        registry.add(kind)
