"""A data set as a run sees it: one source under one view, split and preprocessing. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ddbench.core.errors import DataError
from ddbench.core.infos import DatasetRecord
from ddbench.core.plugin.loader import Registries
from ddbench.core.plugin.registry import Registry
from ddbench.core.specs import DatasetInfo, DataSpec, SplitName
from ddbench.data.describe import describe
from ddbench.data.prepared.on_disk import find
from ddbench.data.prepared.pointers import made_anew
from ddbench.data.prepared.prepare import resolve
from ddbench.data.prepared.sources import parse_source
from ddbench.data.prepared.views import canonical_view
from ddbench.data.readers.framing import PLAIN, Framing
from ddbench.data.space.ids import named as preprocessing


@dataclass(frozen=True, slots=True)
class Data:
    """One data set under one view and one preprocessing.

    Attributes:
        spec: What enters keys.
        info: Facts about its images.
        label: What tables call it, ``fashionmnist [train_size 10000]``.
    """

    spec: DataSpec
    info: DatasetInfo
    label: str


def open_data(
    name: str,
    view: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
    split: SplitName,
    preprocess: str,
    registries: Registries,
    framing: Framing = PLAIN,
    column: str | None = None,
) -> Data:
    """The data set that a user names; embedded and path sources are decoded on first use.

    Args:
        name: As the user types it: ``digits``, ``CIFAR-10``, ``cifar10-original=hf:PATH``.
        view: As suites write it; None: all images.
        split: ``default``, ``paper`` (train ∪ val is train), or ``tune`` (test is what the view leaves out of train).
        preprocess: The space of networks.
        registries: Loaded plugins.
        framing: How images of any shape become squares of one size.
        column: The column of labels, where the user chose one of several.

    Raises:
        DataError: If the data set is not prepared, or its source is unreadable.
        UsageError: If a name is unknown, or the view or the preprocessing is impossible for the data set.
    """
    source, preprocess = parse_source(name, registries.datasets, framing, column), preprocessing(preprocess)
    transforms = canonical_view(view)
    prepared = resolve(source)
    spec = DataSpec(
        name=source.name, revision=prepared.revision, split=split, view=transforms, preprocess=preprocess,
        origin=source.origin,
    )  # fmt: skip
    return Data(spec, describe(prepared, spec), _label(spec))


def facts_of(spec: DataSpec, known: Registry[DatasetRecord]) -> DatasetInfo:
    """What a cell may know about prepared data, declared facts included.

    Raises:
        DataError: If the data set is not prepared.
    """
    return describe(find(spec.name, spec.revision, known), spec)


def recorded_data(spec: DataSpec, registries: Registries) -> Data:
    """The data set that a record names, to its revision; what comes with ddbench is decoded on first use.

    Raises:
        DataError: If it is not prepared here, or other images are called so; the message says what to do.
        UsageError: If its view or its preprocessing does not exist here.
    """
    try:
        info = facts_of(spec, registries.datasets)
    except DataError as error:
        if spec.name not in registries.datasets:
            how = made_anew(spec.name, spec.revision, registries.datasets)
            raise DataError(f"{error}: run `{how}` with the images that the record is of") from None
        here = open_data(spec.name, spec.view, spec.split, spec.preprocess, registries)
        if here.spec.revision != spec.revision:
            raise DataError(
                f"data set {spec.name!r} is here in revision {here.spec.revision}, the record is of revision "
                f"{spec.revision}: other images or labels"
            ) from None
        info = here.info
    return Data(spec, info, _label(spec))


def _label(spec: DataSpec) -> str:
    transforms: list[str] = []
    for transform in spec.view or ():
        values = [str(value) for key, value in transform.items() if key not in ("name", "seed")]
        transforms.append(" ".join([transform["name"], *values]))
    return spec.name + (f" [{', '.join(transforms)}]" if transforms else "")
