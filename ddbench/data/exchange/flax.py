"""Checkpoints of flax (FRePo, KIP's jax code), which are refused by name with what to write instead. No torch."""

from __future__ import annotations

from pathlib import Path

_SUFFIXES = frozenset({"", ".msgpack", ".flax", ".ckpt"})
_MAPS = range(0x80, 0x90)
_LONG_MAPS = {0xDE: 3, 0xDF: 5}
"""First byte of a longer map → bytes before its first key."""
_ORBAX = ("_METADATA", "_CHECKPOINT_METADATA", "manifest.ocdbt")


def wrote(path: Path) -> bool:
    """Whether a file looks like a map in msgpack whose first key is a text, or a folder like one of orbax."""
    if path.is_dir():
        return any((path / name).exists() for name in _ORBAX)
    if path.suffix.lower() not in _SUFFIXES and not path.name.startswith("checkpoint_"):
        return False
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError:
        return False
    skipped = _LONG_MAPS.get(start[0], 1) if start else 0
    key = start[skipped : skipped + 1]
    is_map = bool(start) and (start[0] in _MAPS or start[0] in _LONG_MAPS)
    return is_map and bool(key) and (0xA0 <= key[0] < 0xC0 or key[0] in (0xD9, 0xDA, 0xDB))


def advice(path: Path) -> str:
    """What the user reads."""
    return (
        f"{path}: a checkpoint of flax (msgpack), as FRePo and the jax code of KIP write them, is not read: it holds"
        " networks and states of optimisers besides. Write the set out where it was made,"
        " `numpy.savez('set.npz', images=x_proto, labels=y_proto)`, or import the step*.npz that FRePo itself writes"
    )
