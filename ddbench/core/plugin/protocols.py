"""A protocol with its params type: what it answers before anything runs, held against what it declares. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from ddbench.core.api import ArtifactSpec, EvalProtocol, PlannedEvaluation, ProtocolInfo, ProtocolParams
from ddbench.core.errors import PluginError, first_problem
from ddbench.core.plugin.limited import asked
from ddbench.core.plugin.loader import Registries, import_target
from ddbench.core.plugin.registry import FIRST_PARTY
from ddbench.core.plugin.unwritten import problem_of
from ddbench.core.profiles import Profile
from ddbench.core.specs import DatasetInfo, StudentInfo

CONTRACT = "see `ddbench plugin check` and docs/reference/hooks/protocols.md"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Protocol:
    """A registered protocol.

    Attributes:
        info: Its record.
        params: Its params type.
        plugin: Distribution, or file, that registered it.
    """

    info: ProtocolInfo
    params: type[ProtocolParams]
    plugin: str

    @classmethod
    def find(cls, name: str, registries: Registries) -> Protocol:
        """The protocol called ``name``.

        Raises:
            UsageError: If there is none.
            PluginError: If its params are no :class:`ProtocolParams`, its class's module does not exist, or the class
                lacks ``fit``.
        """
        info = registries.protocols.get(name)
        found = import_target(info.params)
        protocol = cls(info, found, registries.protocols.origin(name).distribution)
        if not (isinstance(found, type) and issubclass(found, ProtocolParams)):
            wanted = ("updates", "lr", "learned_lr", "recipe_of", "resolve", "artifacts", "unsupported")
            known = {*dir(found), *getattr(found, "model_fields", ())}
            lacks = ", ".join(field for field in wanted if field not in known)
            protocol.refuse(
                f"{info.params} is not a subclass of ddbench.ProtocolParams" + (f"; it lacks {lacks}" if lacks else "")
            )
        if (missing := problem_of(info.target, protocol.plugin)) is not None:
            protocol.refuse(f"target {info.target!r}: {missing}")
        return protocol

    @property
    def id(self) -> str:
        """Id with version, ``hard@2``."""
        return f"{self.info.name}@{self.info.version}"

    @property
    def declared(self) -> dict[str, Any] | None:
        """What reports must know of it, for its records; None for ddbench's own, of which they know it."""
        if self.plugin == FIRST_PARTY:
            return None
        told = {"trains_student": self.info.trains_student, "follows_recipe": self.info.follows_recipe}
        return told | asdict(self.info.standing)

    def refuse(self, problem: str) -> NoReturn:
        """Say what the protocol does that the contract forbids.

        Raises:
            PluginError: Always.
        """
        raise PluginError(f"protocol {self.info.name!r} ({self.plugin}): {problem} ({CONTRACT})")

    def load(self) -> type[EvalProtocol]:
        """Its class; this imports torch.

        Raises:
            PluginError: If it cannot be imported, or is no :class:`EvalProtocol`.
        """
        found = import_target(self.info.target)
        if not (isinstance(found, type) and issubclass(found, EvalProtocol)):
            self.refuse(f"target {self.info.target!r} is not a subclass of ddbench.EvalProtocol")
        return found

    def resolve(self, *, n: int, data: DatasetInfo, student: StudentInfo, profile: Profile) -> ProtocolParams:
        """The params for a budget of ``n`` images; arguments as in :meth:`ProtocolParams.resolve`.

        Raises:
            PluginError: If they cannot be had, or contradict what the record declares.
        """
        what = f"{self.params.__name__}.resolve"
        where = f"for {n} images of {data.name}"
        found = self._ask(
            f"{what} {where}",
            lambda: self.params.resolve(self.info.defaults, n=n, data=data, student=student, profile=profile),
        )
        if not isinstance(found, self.params):
            self.refuse(f"{what} returns a {type(found).__name__}, not a {self.params.__name__}")
        if len(found.lr) > 1 and not self.info.chooses_lr:
            self.refuse(f"lr holds {len(found.lr)} learning rates {where}, but ProtocolInfo.chooses_lr is False")
        if not found.lr or found.updates < 1:
            self.refuse(f"{what} {where}: lr must not be empty, and updates must be at least 1")
        return found

    def ask(
        self, params: ProtocolParams, evaluation: PlannedEvaluation, data: DatasetInfo
    ) -> tuple[str | None, dict[str, ArtifactSpec]]:
        """Why an evaluation cannot run, else None, and what it needs.

        Raises:
            PluginError: If there is no answer, or one of the wrong type.
        """
        name = type(params).__name__
        reason = self._ask(f"{name}.unsupported", lambda: params.unsupported(evaluation, data))
        if not (reason is None or isinstance(reason, str)):
            self.refuse(f"{name}.unsupported returned {reason!r}, not a reason or None")
        artifacts = {} if reason else self._ask(f"{name}.artifacts", lambda: dict(params.artifacts(evaluation)))
        wrong = [name for name, artifact in artifacts.items() if not isinstance(artifact, ArtifactSpec)]
        if wrong:
            self.refuse(f"{name}.artifacts gives {wrong[0]!r} no ArtifactSpec")
        return reason, artifacts

    def _ask(self, what: str, question: Callable[[], T]) -> T:
        def answer() -> T:
            try:
                return question()
            except ValidationError as error:
                raise PluginError(first_problem(error)) from None

        try:
            return asked(f"asking {self.info.name} for {what}", answer)
        except PluginError as error:
            self.refuse(f"{what}: {error}")
