"""An artifact kind with its params type: held against its record, and what is asked of it. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ValidationError

from ddbench.core.api import ArtifactKind, ArtifactSpec, Params
from ddbench.core.errors import PluginError, parameter_problem
from ddbench.core.plugin.limited import asked
from ddbench.core.plugin.loader import Registries, import_target
from ddbench.core.plugin.targets import absent


@dataclass(frozen=True, slots=True)
class Kind:
    """A registered artifact kind.

    Attributes:
        info: Its record.
        params: Its params type.
        plugin: Distribution, or file, that registered it.
    """

    info: ArtifactKind
    params: type[Params]
    plugin: str

    @classmethod
    def find(cls, name: str, registries: Registries) -> Kind:
        """The kind called ``name``.

        Raises:
            UsageError: If there is none.
            PluginError: If its params are no :class:`Params`, or its function is not there.
        """
        info = registries.artifacts.get(name)
        kind = cls(info, Params, registries.artifacts.origin(name).distribution)
        try:
            found = import_target(info.params)
        except PluginError as error:
            kind.refuse(f"params: {error}")
        if not (isinstance(found, type) and issubclass(found, Params)):
            kind.refuse(f"params {info.params!r} is not a subclass of ddbench.Params")
        if (missing := absent(info.build)) is not None:
            kind.refuse(f"build {info.build!r}: {missing}")
        return cls(info, found, kind.plugin)

    def refuse(self, problem: str) -> NoReturn:
        """Say what is wrong with the kind, or with what is asked of it.

        Raises:
            PluginError: Always.
        """
        raise PluginError(
            f"artifact kind {self.info.name!r} ({self.plugin}): {problem} (see docs/reference/hooks/artifacts.md)"
        )

    def completed(self, spec: ArtifactSpec, asker: str) -> ArtifactSpec:
        """The spec of an artifact with all of its params; ``asker``: who declares it, for messages.

        Raises:
            PluginError: If the kind has no such parameter, or it cannot have that value.
        """

        def all_of_them() -> dict[str, Any] | str:
            try:
                return self.params.model_validate(spec.params).model_dump(mode="json")
            except ValidationError as error:
                return parameter_problem(dict(error.errors()[0]), self.params.model_fields)

        try:
            found = asked(f"planning artifact {self.info.name}", all_of_them)
        except PluginError as error:
            self.refuse(f"its params, asked for by {asker}: {error}")
        if isinstance(found, str):
            self.refuse(f"{asker} asks for {found}")
        return spec.model_copy(update={"params": found})
