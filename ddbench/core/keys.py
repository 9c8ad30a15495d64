"""Canonical JSON, the keys that decide what is the same computation, and seeds derived from a cell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ddbench.core.specs import ArtifactSpec, CellSpec, DataSpec, EvalSpec


def canonical(value: Any) -> str:
    """Compact JSON with sorted keys; equal values give equal text.

    Raises:
        ValueError: If the value holds NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def short(key: str) -> str:
    """The 16 hex digits used in file names."""
    return key[:16]


def seed_of(*parts: str | int) -> int:
    """A seed in [0, 2^63) derived from ``parts``: H(master, dataset, r, *use)."""
    return int.from_bytes(hashlib.sha256(canonical(list(parts)).encode()).digest()[:8], "big") >> 1


def student_seed(master: int, dataset: str, r: int, e: int, arch: str) -> int:
    """Seed of student e of repetition r: the same for every method, budget and preprocessing."""
    return seed_of(master, dataset, r, e, arch)


def _data(data: DataSpec) -> dict[str, Any]:
    return {
        "name": data.name,
        "revision": data.revision,
        "split": data.split,
        "view": None if data.view is None else list(data.view),
        "preprocess": data.preprocess,
    }


def _origins(origins: Mapping[str, str], data: DataSpec | None = None) -> dict[str, Any]:
    """Who registered what takes part, as a part of a key: absent where all of it is ddbench's own."""
    found = {**({"data": data.origin} if data is not None and data.origin else {}), **origins}
    return {"origins": found} if found else {}


def _precision(spec: ArtifactSpec | EvalSpec) -> dict[str, str]:
    """What networks are trained in, as a part of a key: absent where that is float32."""
    return {} if spec.precision == "fp32" else {"precision": spec.precision}


def artifact_key(spec: ArtifactSpec, kind_version: int) -> str:
    """Key of an artifact: {kind, kind_version, data, arch, params, seed, origins?, precision?}."""
    return digest(
        {
            "kind": spec.kind,
            "kind_version": kind_version,
            "data": _data(spec.data),
            "arch": spec.arch,
            "params": spec.params,
            "seed": spec.seed,
            **_origins(spec.origins, spec.data),
            **_precision(spec),
        }
    )


def condense_key(cell: CellSpec, axes: frozenset[str], artifacts: Sequence[str] | Mapping[str, str]) -> str:
    """Key of a condensed set; of budget, arch and seed only the method's ``axes`` enter.

    Args:
        cell: The cell, params fully resolved; ``initial`` enters where there is one.
        axes: Subset of {"budget", "arch", "seed"}.
        artifacts: Keys of the artifacts the cell reads, in any order.
    """
    used = artifacts.values() if isinstance(artifacts, Mapping) else artifacts
    return digest(
        {
            "method": cell.method,
            "method_version": cell.method_version,
            "origin": cell.origin,
            "params": cell.params,
            "data": _data(cell.data),
            "budget": cell.budget.key() if "budget" in axes else None,
            "arch": cell.arch if "arch" in axes else None,
            "seed": {"master": cell.master, "r": cell.r} if "seed" in axes else None,
            "artifacts": sorted(used),
            **({"initial": cell.initial} if cell.initial else {}),
            **_origins(cell.origins, cell.data),
        }
    )


def eval_key(spec: EvalSpec) -> str:
    """Key of one student trained on one set under one protocol."""
    return digest(
        {
            "set": spec.set,
            "protocol": spec.protocol,
            "protocol_version": spec.protocol_version,
            "protocol_params": spec.protocol_params,
            "arch": spec.arch,
            "seed": {"master": spec.master, "r": spec.r, "e": spec.e},
            **({"artifacts": sorted(spec.artifacts)} if spec.artifacts else {}),
            **_origins(spec.origins),
            **_precision(spec),
        }
    )
