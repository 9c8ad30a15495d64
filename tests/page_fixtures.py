"""A page for tests: records as the factories make them, pictures of one colour, and labels that mean harm."""

from __future__ import annotations

import base64
import io

from PIL import Image

from ddbench.core.records import Record
from ddbench.publish.page.tiles import Picture
from tests.factories import cell, demo

HOSTILE = "<script>alert(1)</script>\"'</td>&amp;"


def records() -> list[Record]:
    """The demo run with cells of another student, and a row whose label and reason are markup."""
    return [
        *demo(),
        *cell("datm", [80.0, 81.0, 82.0], ipc=10, eval_arch="mlp-w128-nn"),
        *cell("dm", [None, None, None], ipc=1, label=HOSTILE, status="failed", reason="</script><img src=x onerror=alert(2)>"),
        *cell("dm", [71.0, 72.0, 73.0], ipc=10, label=HOSTILE),
    ]  # fmt: skip


def png(colour: int) -> str:
    """A picture of one grey, as base64."""
    out = io.BytesIO()
    Image.new("L", (19, 19), colour).save(out, "png")
    return base64.b64encode(out.getvalue()).decode()


def pictures(found: list[Record]) -> list[Picture]:
    """Three states for the set of repetition 0 of every datm at ipc 10, one for random."""
    shown = []
    for record in found:
        if record.kind != "condense" or record.document.cell.r or record.document.cell.budget.ipc != 10:
            continue
        steps = {"datm": (50, 100, 150), "random": (0,)}.get(record.document.label, ())
        for step in steps:
            shown.append(
                Picture(
                    key=record.key, step=step, set_sha256="", shown=2, classes=10, per_class=2, most=10,
                    width=19, height=19, png=png(step),
                )
            )  # fmt: skip
    return shown
