"""What running methods and artifact builders see: the RunContext."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ddbench.core.api import CondensedSet, EvalProtocol, Limits
from ddbench.core.errors import PluginError
from ddbench.core.keys import seed_of
from ddbench.core.plugin.loader import Registries, import_target
from ddbench.core.profiles import Profile
from ddbench.core.roles import SCORING
from ddbench.core.specs import ArtifactSpec, Budget, CellSpec, DatasetInfo, ipc_of
from ddbench.data.dataset import facts_of
from ddbench.data.space.split import Split, open_splits
from ddbench.models import names as arch_names
from ddbench.work.evaluate.inputs import Inputs, declared_folder, network
from ddbench.work.evaluate.metrics import accuracy, logits_of
from ddbench.work.monitor import Monitor, Silent

if TYPE_CHECKING:
    from torch import nn


@dataclass(slots=True)
class Context:
    """The RunContext of one node (:class:`ddbench.core.api.RunContext`); no attribute of it reaches the test split.

    Attributes:
        owner: Who draws private randomness: the method's name, or the artifact's kind.
        master: Master seed.
        r: Repetition.
        folders: Folders of declared artifacts by name.
        monitor: Is told about progress.
        key: The node's.
        warnings: Collected sentences for the record.
        origins: Of the architectures that its key names, as far as they are not ddbench's own.
        initial: The set of another row that the cell starts from, or None.
    """

    train: Split
    val: Split
    dataset: DatasetInfo
    budget: Budget
    arch: str
    device: torch.device
    generator: torch.Generator
    owner: str
    master: int
    r: int
    folders: Mapping[str, Path]
    registries: Registries
    profile: Profile
    limits: Limits = field(default_factory=Limits)
    monitor: Monitor = field(default_factory=Silent)
    key: str = ""
    step: int = 0
    warnings: list[str] = field(default_factory=list)
    origins: frozenset[str] = frozenset()
    initial: CondensedSet | None = None

    @property
    def per_class(self) -> tuple[int, ...]:
        """Images of each class under the budget, K numbers."""
        return self.budget.resolve(self.dataset.counts)

    @property
    def ipc(self) -> int:
        """Images per class; raises UsageError when class counts differ."""
        return ipc_of(self.per_class)

    def seed(self, *use: str) -> int:
        """A seed shared by all methods, architectures, budgets and preprocessings of this repetition."""
        return seed_of(self.master, self.dataset.name, self.r, *use)

    def private_seed(self, *use: str) -> int:
        """A seed of this method's own."""
        return seed_of(self.master, self.dataset.name, self.r, "private", self.owner, *use)

    def build_model(self, arch: str | None = None, *, seed: int) -> nn.Module:
        """A freshly initialised network on the device.

        Raises:
            PluginError: If another plugin registered the network, and the key of this cell does not say so.
        """
        arch = arch or self.arch
        origin = self.registries.origins(arch=arch).get("arch")
        if origin is not None and origin not in self.origins:
            raise PluginError(
                f"{self.owner} builds {arch}, which another plugin registered, without saying so: name it in "
                "Params.architectures, or 'arch' among the method's axes"
            )
        return network(arch, self.dataset, self.device, seed, self.registries.architectures)

    def artifact(self, name: str) -> Path:
        """Folder of a declared artifact.

        Raises:
            PluginError: If ``Params.artifacts`` did not declare it.
        """
        return declared_folder(self.folders, name, "Params")

    def score(self, condensed: CondensedSet) -> float:
        """Accuracy on val [%] under the protocol ``val``."""
        info = self.registries.protocols.get(SCORING)
        student = arch_names.student(self.arch, self.registries.architectures)
        params = import_target(info.params).resolve(
            info.defaults, n=sum(self.per_class), data=self.dataset, student=student, profile=self.profile
        )
        protocol: EvalProtocol = import_target(info.target)()
        inputs = Inputs(params, params.lr[0], None, self.train, None, self.dataset, self.device)
        predictor = protocol.fit(condensed, self._student, self.private_seed("val@1"), inputs)
        return accuracy(logits_of(predictor, self.val), self.val.labels)

    def _student(self, seed: int) -> nn.Module:
        return self.build_model(seed=seed)

    def progress(self, done: int, total: int, what: str = "") -> None:
        """Report how far a long stage has come."""
        self.monitor.progress(self.key, done, total, what or self.owner, {})

    def warn(self, text: str) -> None:
        """A sentence for the record and the table's footnotes."""
        if text not in self.warnings:
            self.warnings.append(text)


def open_context(
    spec: CellSpec | ArtifactSpec,
    *,
    owner: str,
    folders: Mapping[str, Path],
    registries: Registries,
    profile: Profile,
    device: str,
    limits: Limits,
    monitor: Monitor,
    key: str,
    initial: CondensedSet | None = None,
) -> Context:
    """The context of a cell or of an artifact builder (which has the smallest budget and the cell's seeds).

    Raises:
        DataError: If the data set is not prepared.
    """
    where = torch.device(device)
    train, val = open_splits(spec.data, device=where, whitening=folders.get("whitening"), known=registries.datasets)
    info = facts_of(spec.data, registries.datasets)
    if isinstance(spec, CellSpec):
        budget, arch, master, r = spec.budget, spec.arch, spec.master, spec.r
    else:
        budget, arch = Budget(ipc=1), spec.arch or info.default_arch
        master, r = spec.seed.get("master", 0), spec.seed.get("r", 0)
    ctx = Context(
        train, val, info, budget, arch, where, torch.Generator(), owner, master, r, folders, registries, profile,
        limits, monitor, key, origins=frozenset(spec.origins.values()), initial=initial,
    )  # fmt: skip
    ctx.generator.manual_seed(ctx.private_seed("generator"))
    return ctx
