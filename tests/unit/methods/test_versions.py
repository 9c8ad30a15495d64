"""Results-changing edits bump a version: defaults and presets are compared with a committed snapshot.

Presets need no bump, because their values are in every key, but a line in the change log. Afterwards
``python -m tests.unit.methods.test_versions`` renews the snapshot.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ddbench.core.plugin.loader import import_target, installed, params_class
from ddbench.core.plugin.registry import FIRST_PARTY
from ddbench.plan.presets import presets

SNAPSHOT = Path(__file__).parents[2] / "data" / "method_versions.json"
REFRESH = "then renew the snapshot: python -m tests.unit.methods.test_versions"

Content = dict[str, dict[str, Any]]


def current() -> dict[str, Content]:
    """What decides results of first-party methods and protocols besides their code."""
    return {
        "methods": {info.name: method(info) for info in ours("methods")},
        "protocols": {info.name: protocol(info) for info in ours("protocols")},
        "artifacts": {info.name: artifact(info) for info in ours("artifacts")},
    }


def ours(registry: str) -> list[Any]:
    members = getattr(installed(), registry)
    return [member for member in members if members.origin(member.name).key == FIRST_PARTY]


def defaults(cls: Any) -> dict[str, Any]:
    fields = {
        name: "required" if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in cls.model_fields.items()
    }
    return json.loads(json.dumps(fields, default=str))


def method(info: Any) -> dict[str, Any]:
    chosen = [
        {"for": preset.where.model_dump(exclude_none=True), "params": preset.params}
        for preset in presets(info)
        if preset.where.profile != "smoke"  # tests only: no result of theirs is kept
    ]
    return {
        "version": info.version,
        "axes": sorted(info.axes),
        "defaults": defaults(params_class(info)),
        "presets": json.loads(json.dumps(chosen)),
    }


def protocol(info: Any) -> dict[str, Any]:
    return {
        "version": info.version,
        "defaults": defaults(import_target(info.params)) | json.loads(json.dumps(dict(info.defaults))),
    }


def artifact(info: Any) -> dict[str, Any]:
    return {"version": info.version, "defaults": defaults(import_target(info.params))}


def problems(before: Content, now: Content, noun: str) -> list[str]:
    """What changed without a version bump, or is missing from the snapshot."""
    found = [f"{noun} {name}: not in the snapshot; {REFRESH}" for name in sorted(set(now) - set(before))]
    found += [f"{noun} {name}: gone, but in the snapshot; {REFRESH}" for name in sorted(set(before) - set(now))]
    for name in sorted(set(before) & set(now)):
        old, new = before[name], now[name]
        changed = sorted(part for part in {*old, *new} - {"version", "presets"} if new.get(part) != old.get(part))
        if changed and new["version"] == old["version"]:
            found.append(f"{noun} {name}: {', '.join(changed)} changed, the version did not: bump it, {REFRESH}")
        elif new["version"] != old["version"]:
            found.append(f"{noun} {name}: the snapshot is of version {old['version']}; {REFRESH}")
        elif new != old:
            found.append(f"{noun} {name}: presets changed: note it under 'results change' in CHANGELOG.md, {REFRESH}")
    return found


@pytest.mark.parametrize("kind", ["methods", "protocols", "artifacts"])
def test_defaults_change_only_with_a_version(kind):
    committed = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    found = problems(committed[kind], current()[kind], kind.removesuffix("s"))
    assert not found, "\n".join(found)


BEFORE: Content = {"dm": {"version": 1, "defaults": {"lr": 1.0}, "presets": []}}


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ({"dm": {"version": 1, "defaults": {"lr": 2.0}, "presets": []}}, "defaults changed, the version did not"),
        ({"dm": {"version": 1, "defaults": {}, "presets": []}}, "defaults changed, the version did not"),
        ({"dm": {"version": 2, "defaults": {"lr": 2.0}, "presets": []}}, "the snapshot is of version 1"),
        ({"dm": {"version": 1, "defaults": {"lr": 1.0}, "presets": [{}]}}, "presets changed: note it"),
        ({**BEFORE, "mtt": {"version": 1}}, "method mtt: not in the snapshot"),
        ({}, "method dm: gone"),
    ],
)
def test_every_kind_of_change_is_reported(now, message):
    (found,) = problems(BEFORE, now, "method")
    assert message in found
    assert "python -m tests.unit.methods.test_versions" in found


def test_no_change_is_no_problem():
    assert problems(BEFORE, BEFORE, "method") == []


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(current(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(SNAPSHOT)
