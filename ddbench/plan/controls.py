"""The rows that ``--controls`` adds: what shows how much of a method's score is its own doing. No torch.

Beside every distiller its initialisation, and as many real images as its bytes buy; beside one whose set is chosen on
val the best of as many random sets; and what the method itself names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ddbench.core.errors import PluginError, UsageError
from ddbench.core.plugin.limited import asked
from ddbench.core.plugin.loader import Registries, params_class
from ddbench.core.profiles import Profile
from ddbench.core.roles import BEST_OF_K, BUYERS, ZERO_STEPS, Kind, Role, label_at
from ddbench.core.specs import Budget, DatasetInfo, largest_ipc, snapshot_points
from ddbench.plan.rows import Row, answer, resolved, validated
from ddbench.plan.suite import Suite

STEPS = "iterations"
"""The parameter that every distiller has; at 0 the set is its initialisation."""

Place = tuple[DatasetInfo, Budget]
"""Where a row stands: a data set of the run and a column."""


def with_controls(
    rows: Sequence[Row], suite: Suite, registries: Registries, profile: Profile, places: Sequence[Place]
) -> list[Row]:
    """The rows with their controls: those that are methods after ``random``, after each distiller its initialisation.

    Controls of several rows that come to the same are one row.

    Args:
        rows: The rows of the suite.
        suite: For ``--set`` on controls.
        registries: Loaded plugins.
        profile: The profile.
        places: Data sets × budgets of the run, which decide what parameters come to.

    Raises:
        UsageError: If a control has the label of another row.
    """
    references = [row for row in rows if row.role.kind == "reference"]
    found = [*references, *_methods(rows, suite, registries, profile, places), *_at_bytes(rows, profile, places)]
    for row in rows:
        if row not in references:
            found += [row, *_zero_steps(row)]
    labels = [row.label for row in found]
    twice = next((label for i, label in enumerate(labels) if label in labels[:i]), None)
    if twice is not None:
        raise UsageError(f"two rows are both called {twice!r}, one of them a control: give the other another label")
    return found


def _methods(
    rows: Sequence[Row], suite: Suite, registries: Registries, profile: Profile, places: Sequence[Place]
) -> Iterator[Row]:
    """Controls that are methods, but for those that the suite names itself."""
    named = [row for row in rows if row.control_of is not None and row.initial is None]
    known = {(row.method.name, _comes_to(row, profile, places)) for row in named}
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        beside: dict[str, Mapping[str, Any]] = {name: {} for name in row.method.controls}
        if BEST_OF_K in registries.methods and (choices := _choices(row, profile, places)) > 1:
            beside[BEST_OF_K] = {"k": choices}
        for name, params in beside.items():
            info, origin = registries.methods.get(name), registries.methods.origin(name).key
            overrides = {**params, **suite.set.get(name, {})}
            role = Role("control", (row.label,))
            control = Row(name, info, origin, overrides, requested=False, role=role, control_of=row)
            if (place := (name, _comes_to(control, profile, places))) not in known:
                groups.setdefault(place, []).append(control)
    taken = {row.label for row in rows}
    for (name, _), members in groups.items():
        alone = name not in taken and sum(other == name for other, _ in groups) == 1
        of = tuple(label for member in members for label in member.role.of)
        label = name if alone else f"{name} (for {', '.join(of)})"
        yield replace(members[0], label=label, role=Role("control", of))


def _comes_to(row: Row, profile: Profile, places: Sequence[Place]) -> str:
    """Its params at all places, as text."""
    found = [resolved(row, data, budget, profile)[0] for data, budget in places]
    return json.dumps(answer(row.method, lambda: [params.model_dump_json() for params in found]))


def with_pools(rows: Sequence[Row], profile: Profile, places: Sequence[Place]) -> list[Row]:
    """The rows, of which some stand beside the rows whose control their method is.

    These are rows that start from another row's set, and named controls: they take over the other rows' pool of
    experts, so that the labels are theirs, one row for all equal pools. Without such rows they keep what their preset
    says.

    Args:
        rows: The rows of the suite.
        profile: The profile.
        places: Data sets × budgets of the run, which decide what parameters come to.
    """
    found: list[Row] = []
    for row in rows:
        groups: dict[str, list[Row]] = {}
        named = row.requested and row.role.kind == "control"
        for other in rows:
            if (named or row.initial is not None) and row.method.name in other.method.controls:
                beside = replace(row, control_of=other)
                groups.setdefault(_comes_to(beside, profile, places), []).append(other)
        for others in groups.values():
            of = tuple(other.label for other in others)
            label = row.label if len(groups) == 1 else f"{row.label} (for {', '.join(of)})"
            role = Role("control", of) if named and row.initial is None else row.role
            found.append(replace(row, label=label, control_of=others[0], role=role))
        if not groups:
            found.append(row)
    return found


def _choices(row: Row, profile: Profile, places: Sequence[Place]) -> int:
    """States of its set that a row's choice on val may take, the most of all places; 1 where it takes the last."""
    if row.method.kind != "distillation":
        return 1
    found = [resolved(row, data, budget, profile)[0] for data, budget in places]
    kept = (params for params in found if params.keeps_best_snapshot)
    return max(answer(row.method, lambda: [len(snapshot_points(params.steps)) for params in kept]), default=1)


def _zero_steps(row: Row) -> list[Row]:
    """What a distiller starts from, as a row of its own; none for distillers that cannot stop before the first step."""
    known = params_class(row.method).model_fields
    if row.method.kind != "distillation" or STEPS not in known or row.overrides.get(STEPS) == 0:
        return []
    zero = replace(
        row,
        label=row.label + ZERO_STEPS,
        overrides={**row.overrides, STEPS: 0},
        requested=False,
        role=Role("start", (row.label,)),
    )
    try:
        validated(zero, zero.overrides, partial=True)
    except UsageError:
        return []
    return [zero]


def _at_bytes(rows: Sequence[Row], profile: Profile, places: Sequence[Place]) -> Iterator[Row]:
    """``random`` at the bytes of the distillers' sets, as stored and with uint8 images: one row for all equal ones."""
    random = next((row for row in rows if row.is_random), None)
    if random is None:
        return
    made = [row for row in rows if row.method.kind == "distillation" and row.overrides.get(STEPS) != 0]
    by_label = {row.label: row for row in rows}
    for kind in BUYERS:
        groups: dict[tuple[Budget | None, ...], list[str]] = {}
        for row in made:
            budgets = tuple(bought(row, data, budget, profile, kind) for data, budget in places)
            if any(found is not None for found in budgets):
                groups.setdefault(budgets, []).append(row.label)
        for labels in groups.values():
            role = Role(kind, tuple(labels))
            beside = by_label[labels[0]]
            yield replace(random, label=label_at(role), requested=False, role=role, control_of=beside)


def images_for(row: Row, data: DatasetInfo, budget: Budget, profile: Profile, kind: Kind) -> int | None:
    """How many real images, as uint8, cost no more bytes than a set of ``row`` at ``budget`` does.

    Hard labels, a byte each, are left out on both sides.

    Args:
        row: A distiller.
        data: The data set.
        budget: The set's budget.
        profile: The profile.
        kind: ``at_bytes``: at the bytes that are stored; ``at_uint8``: at those with images as uint8.

    Returns:
        None where the row does not foresee its bytes.

    Raises:
        PluginError: If a plugin's own arithmetic fails.
    """
    per_class = budget.resolve(data.counts)
    params, _ = resolved(row, data, budget, profile, max(per_class))

    def images() -> int | None:
        size, pixels = (ask(sum(per_class), data) for ask in (params.stored_bytes, params.stored_pixels))
        if size is None or (pixels is None and kind == "at_uint8"):
            return None
        found = (int(size) - (3 * int(pixels or 0) if kind == "at_uint8" else 0)) // data.image_bytes
        if found < 0:
            raise ValueError(f"it gives {size} bytes")
        return found

    try:
        return asked(f"planning {row.method.name}", images)
    except PluginError as error:
        raise PluginError(
            f"{row.label}: Params.stored_bytes failed: {error}; without --controls it is not asked"
        ) from error


def bought(row: Row, data: DatasetInfo, budget: Budget, profile: Profile, kind: Kind) -> Budget | None:
    """The budget of the real images of :func:`images_for`.

    None where these are unknown, as many as the set has, or not one of each class. Where classes are smaller than the
    ipc that the bytes pay for in each, the others get what these leave.
    """
    per_class = budget.resolve(data.counts)
    images, classes = images_for(row, data, budget, profile, kind), sum(n > 0 for n in per_class)
    if images is None or images < classes or images == sum(per_class):
        return None
    found = _each(images, classes, data) if budget.ipc is not None else _share(images, data)
    return None if found is None or found.resolve(data.counts) == per_class else found


def _each(images: int, classes: int, data: DatasetInfo) -> Budget:
    """The largest ipc of no more than ``images``; one that the classes do not have where they are too small for it."""
    low, high = images // classes, largest_ipc(data.counts)
    while low < high:
        middle = -(-(low + high) // 2)
        fits = sum(Budget(ipc=middle).resolve(data.counts)) <= images
        low, high = (middle, high) if fits else (low, middle - 1)
    return Budget(ipc=low)


def _share(images: int, data: DatasetInfo) -> Budget | None:
    """The largest share of the training images that comes to no more than ``images``; None if not one of each class."""
    if images >= data.n_train:
        return Budget(fraction=1)
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        fits = sum(Budget(fraction=middle).resolve(data.counts)) <= images
        low, high = (middle, high) if fits else (low, middle)
    return Budget(fraction=low) if low else None
