"""``hf:USER/NAME``: a data set of the Hugging Face Hub, through ``datasets`` (``pip install 'ddbench[hf]'``). No torch.

Images stay encoded until they are decoded as those of files are; no code of the data set is run.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ddbench.core.errors import DataError, shown_value
from ddbench.core.words import plural
from ddbench.data.readers.framing import PLAIN, Framing
from ddbench.data.readers.parquet import ROWS, Table, read_tables
from ddbench.data.readers.parts import part_of, split_name
from ddbench.data.readers.raw import PARTS, PartName, RawDataset

PATIENCE_S = 10.0
"""For an answer of the Hub, before it counts as out of reach."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_SWITCHES = (("huggingface_hub.constants", "HF_HUB_OFFLINE"), ("datasets.config", "HF_HUB_OFFLINE"))
"""What keeps the libraries from asking: there is no setting for how often they ask again, minutes long."""


def read(repository: str, framing: Framing = PLAIN, *, label: str | None = None) -> RawDataset:
    """Read ``user/name``, or ``user/name/configuration`` where it has several.

    Args:
        repository: These.
        framing: How images of any shape become squares of one size.
        label: The column of labels, where the user chose one.

    Raises:
        DataError: If this is no such name, ``datasets`` is missing, the Hub cannot be reached or has no such data set,
            it has several configurations, or as :func:`ddbench.data.readers.parquet.read`.
    """
    user, name, *configuration = _taken_apart(repository)
    datasets = _library(repository)
    with _asked_once():
        found = _loaded(datasets, repository, user, name, configuration)
    parts, notes = _parts(repository, found)
    tables = {part: [_table(f"{repository}, {split}", found[split])] for part, split in parts.items()}
    raw = read_tables(tables, framing, label=label)
    return replace(raw, notes=(*raw.notes, *notes))


def _taken_apart(repository: str) -> list[str]:
    parts = repository.split("/")
    if not (2 <= len(parts) <= 3 and all(map(_NAME.fullmatch, parts[:2])) and all(parts)):
        raise DataError(
            f"there is no file or folder {shown_value(repository)}, and it names no data set of the Hugging Face Hub: "
            "these are called USER/NAME, or USER/NAME/CONFIGURATION"
        )
    return parts


@contextmanager
def _asked_once() -> Iterator[None]:
    """A block in which the libraries give what they have, at once, where the Hub does not answer."""
    switches = [(place, name) for module, name in _SWITCHES if hasattr(place := sys.modules.get(module), name)]
    before = [(place, name, getattr(place, name)) for place, name in switches]
    if not any(off for _, _, off in before) and not _answers():  # whoever set HF_HUB_OFFLINE wants nobody asked
        for place, name in switches:
            setattr(place, name, True)
    try:
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)


def _answers() -> bool:
    """Whether there is somebody at the Hub's address, or at that of the proxy before it."""
    hub = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    proxies = urllib.request.getproxies()
    proxy = proxies.get(hub.scheme) or proxies.get("all")
    place = urllib.parse.urlsplit(proxy if "://" in proxy else f"//{proxy}") if proxy else hub
    try:
        port = place.port or (443 if place.scheme == "https" else 80)
        socket.create_connection((place.hostname or "", port), timeout=PATIENCE_S).close()
    except (OSError, ValueError):
        return False
    return True


def _loaded(datasets: Any, repository: str, user: str, name: str, configuration: list[str]) -> Any:
    """The data set as the library gives it.

    Raises:
        DataError: If it does not.
    """
    try:
        known = list(datasets.get_dataset_config_names(f"{user}/{name}"))
        if not configuration and len(known) > 1:
            raise DataError(
                f"{repository} has several configurations ({', '.join(known)}): name one, hf:{repository}/{known[0]}"
            )
        if configuration and configuration[0] not in known:
            raise DataError(f"{user}/{name} has no configuration {configuration[0]!r}; it has {', '.join(known)}")
        return datasets.load_dataset(f"{user}/{name}", configuration[0] if configuration else None)
    except DataError:
        raise
    except Exception as error:  # the library raises whatever its transports do
        raise DataError(_out_of_reach(repository, error)) from error


def _library(repository: str) -> Any:
    try:
        import datasets

        if not hasattr(datasets, "load_dataset"):
            raise ImportError("the datasets that was found is a folder of that name")
    except ImportError as error:
        raise DataError(
            f"there is no file or folder {repository!r}, and reading it from the Hugging Face Hub needs the library "
            f"datasets: run `pip install 'ddbench[hf]'` ({error})"
        ) from error
    return datasets


def _out_of_reach(repository: str, error: Exception) -> str:
    first = f"{type(error).__name__}: {error}".splitlines()[0]
    return (
        f"there is no file or folder {repository!r}, and the Hugging Face Hub does not give such a data set ({first}): "
        "is there a network, and is the name right? Without a network, get its parquet files elsewhere and name their"
        " folder, NAME=hf:DIR"
    )


def _parts(repository: str, found: Mapping[str, Any]) -> tuple[dict[PartName, str], tuple[str, ...]]:
    """The split of each part, and a note on those that are not read.

    Raises:
        DataError: If there is no train, if two mean one part, or if one looks like a part that would be missing.
    """
    parts: dict[PartName, str] = {}
    unread = []
    for split in found:
        part = part_of(str(split))
        if part is None:
            unread.append(str(split))
        elif part in parts:
            raise DataError(f"{repository}: the splits {parts[part]} and {split} both mean {part}")
        else:
            parts[part] = str(split)
    if "train" not in parts:
        raise DataError(f"{repository} has no split train; it has {', '.join(map(str, found)) or 'none'}")
    odd = next((split for split in unread if (part := split_name(split)[0]) is not None and part not in parts), None)
    if odd is not None:
        raise DataError(
            f"{repository}: the split {odd} looks like a part, and is not understood: download its files, rename them"
            " to train-*.parquet, test-*.parquet …, and name their folder"
        )
    notes = tuple(f"split {split} not read ({plural(f'{len(found[split]):,}', 'image')})" for split in unread)
    return {part: parts[part] for part in PARTS if part in parts}, notes


def _table(name: str, split: Any) -> Table:
    """A split with its images as they are encoded."""

    def batches(columns: list[str]) -> Iterator[Any]:
        for batch in split.select_columns(columns).with_format("arrow").iter(ROWS):
            yield _embedded(batch, columns[0])

    return Table(name, split.features.arrow_schema, batches)


def _embedded(batch: Any, image: str) -> Any:
    """A batch whose images are contents, where the library left some in files of its cache."""
    column = batch.column(image)
    rows = column.to_pylist()
    if all(row is None or row.get("bytes") or not row.get("path") for row in rows):
        return batch
    import pyarrow

    filled = [
        {"bytes": Path(row["path"]).read_bytes(), "path": row["path"]} if row and not row.get("bytes") else row
        for row in rows
    ]
    place = batch.schema.get_field_index(image)
    return batch.set_column(place, batch.schema.field(place), pyarrow.array(filled, column.type))
