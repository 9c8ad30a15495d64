"""What the author of a suite typed becomes the names that members have, before anything is resolved. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ddbench.core.errors import UsageError, ambiguous
from ddbench.core.names import meant
from ddbench.core.plugin.loader import Registries
from ddbench.core.profiles import profile
from ddbench.data.prepared.sources import named as data_named
from ddbench.data.space import ids
from ddbench.models import names as arch_names
from ddbench.plan import derived
from ddbench.plan.suite import Exclusion, Suite


def canonical(suite: Suite, registries: Registries) -> Suite:
    """A suite with the names of members in place of what was typed (:mod:`ddbench.core.names`).

    Labels of rows are the author's own and stay. What means no method, network or row stays, too: who resolves it
    says what is wrong with it.

    Raises:
        UsageError: If a name could mean several members, no data set, preprocessing, protocol or profile has it, or
            parameters of a method are set under two of its spellings.
    """
    labels = _labels(suite)
    protocols = tuple(protocol_named(name, registries) for name in suite.protocols)
    students = predictors(protocols, registries)
    update = {
        "methods": tuple(
            entry.model_copy(update={"name": method_named(entry.name, registries, labels)}) for entry in suite.methods
        ),
        "datasets": tuple(
            entry.model_copy(update={"name": dataset_named(entry.name, registries)}) if entry.path is None else entry
            for entry in suite.datasets
        ),
        "archs": tuple(arch_names.meant(name, registries.architectures) for name in suite.archs),
        "eval_archs": tuple(student_named(name, students, registries) for name in suite.eval_archs),
        "preprocess": tuple(map(ids.named, suite.preprocess)),
        "protocols": protocols,
        "profile": profile(suite.profile).name,
        "set": settings(suite.set, registries, labels),
        "exclude": tuple(_rule(rule, students, registries, labels) for rule in suite.exclude),
    }
    return suite.model_copy(update=update)


def overridden(suite: Suite, given: Iterable[tuple[str, str, Any]], registries: Registries) -> Suite:
    """A suite with (method, parameter, value) over what its ``set`` says, however either spells the method.

    Raises:
        UsageError: As :func:`settings`.
    """
    labels = _labels(suite)
    values = settings(suite.set, registries, labels)
    for method, parameter, value in given:
        values.setdefault(method_named(method, registries, labels), {})[parameter] = value
    return suite.model_copy(update={"set": values})


def _labels(suite: Suite) -> frozenset[str]:
    return frozenset(entry.label for entry in suite.methods if entry.label is not None)


def method_named(text: str, registries: Registries, labels: Iterable[str] = ()) -> str:
    """The method, or the name of :mod:`ddbench.plan.derived`, that a text means; itself where it is none, or a label.

    Raises:
        UsageError: If it could mean several.
    """
    part = derived.taken_apart(text, registries)
    if text in labels or (part is not None and part[1] in labels):
        return text
    found = meant(text, {**dict.fromkeys(derived.names(registries), ()), **registries.methods.called()})
    if len(found) > 1:
        raise ambiguous(registries.methods.noun, text, found)
    return found[0] if found else text


def dataset_named(text: str, registries: Registries) -> str:
    """The registered or prepared data set that a text means; ``NAME=SCHEME:PATH`` stays as it is.

    Raises:
        UsageError: If it means none, or could mean several.
    """
    return text if "=" in text or ":" in text else data_named(text, registries.datasets)


def protocol_named(text: str, registries: Registries) -> str:
    """The protocol that a text means, with its version where one was typed.

    Raises:
        UsageError: If it means none, or could mean several.
    """
    plain, at, version = text.partition("@")
    return f"{registries.protocols.named(plain)}{at}{version}"


def predictors(protocols: Iterable[str], registries: Registries) -> frozenset[str]:
    """The students that protocols bring along, beside families and networks that they name."""
    infos = [registries.protocols.get(name.partition("@")[0]) for name in protocols]
    return frozenset(name for info in infos for name in info.students)


def student_named(text: str, students: frozenset[str], registries: Registries) -> str:
    """The network, or the predictor among ``students``, that a text means; itself where it is none.

    Raises:
        UsageError: If it could mean several.
    """
    if text in students:
        return text
    own, network = meant(text, dict.fromkeys(students, ())), arch_names.meant(text, registries.architectures)
    found = [*own, *([] if network == text or network in own else [network])]
    if len(found) > 1:
        raise ambiguous("student", text, found)
    return found[0] if found else text


def settings(
    given: Mapping[str, Mapping[str, Any]], registries: Registries, labels: Iterable[str] = ()
) -> dict[str, dict[str, Any]]:
    """``set:`` of a suite by the methods' own names.

    Raises:
        UsageError: If one parameter is set under two spellings of its method.
    """
    found: dict[str, dict[str, Any]] = {}
    for typed, values in given.items():
        name = method_named(typed, registries, labels)
        mine = found.setdefault(name, {})
        if twice := sorted(mine.keys() & values.keys()):
            raise UsageError(f"set: {typed} is {name}, for which {twice[0]} is set twice: keep one of them")
        mine.update(values)
    return found


def _rule(rule: Exclusion, students: frozenset[str], registries: Registries, labels: frozenset[str]) -> Exclusion:
    """An exclusion, likewise; what it names need not be in the run, nor, of rows, be known at all."""
    update: dict[str, Any] = {}
    for field in ("method", "of"):
        if (names := getattr(rule, field)) is not None:
            update[field] = tuple(method_named(name, registries, labels) for name in names)
    if rule.dataset is not None and (found := meant(rule.dataset, registries.datasets.called())):
        update["dataset"] = found[0] if len(found) == 1 else rule.dataset
    if rule.arch is not None:
        update["arch"] = arch_names.meant(rule.arch, registries.architectures)
    if rule.eval_arch is not None:
        update["eval_arch"] = student_named(rule.eval_arch, students, registries)
    if rule.protocol is not None:
        plain, at, version = rule.protocol.partition("@")
        known = meant(plain, registries.protocols.called())
        update["protocol"] = f"{known[0]}{at}{version}" if len(known) == 1 else rule.protocol
    return rule.model_copy(update=update)
