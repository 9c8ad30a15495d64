"""One piece of work, as both ends of a pipe read it; no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

CLASSES = 10


@dataclass(frozen=True, slots=True)
class Case:
    """What a side works on; a side reads what concerns it.

    Attributes:
        method: Name of the method.
        ipc: Images per class.
        width: Of the ConvNet.
        depth: Its blocks.
        size: Pixels on a side.
        channels: Of an image.
        batch: Images per update of a network, or real images per class.
        steps: N, updates of a student that follows an expert.
        batch_syn: Synthetic images per such update.
        updates: Updates per turn, where a turn trains a network.
        device: ``cpu`` or ``cuda``.
        engine: Of ddbench; ``auto``: the one that it chooses.
        threads: CPU threads.
        dead: Whether selectors look at features that are all equal.
    """

    method: str = ""
    ipc: int = 1
    width: int = 32
    depth: int = 3
    size: int = 28
    channels: int = 1
    batch: int = 256
    steps: int = 10
    batch_syn: int = 100
    updates: int = 4
    device: str = "cpu"
    engine: str = "auto"
    threads: int = 1
    dead: bool = False

    @property
    def arch(self) -> str:
        """Name of the network."""
        return f"convnet{self.depth}-w{self.width}-in"

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Case:
        """What :meth:`dump` gave."""
        return cls(**json.loads(text))
