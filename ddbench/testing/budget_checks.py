"""Laws about the size of a method's sets: images of each class, classes that are short, bytes."""

from __future__ import annotations

from ddbench.core.api import ClassCounts
from ddbench.core.errors import NodeFailureError, UsageError
from ddbench.testing.subject import Bench

SHORT_IPC, SHORT_SIZE = 3, 27
"""A budget, and how many training images of digits leave some classes short of it by one."""


def class_counts_fit_the_budget(bench: Bench) -> None:
    """A set with hard labels has as many images of each class as its params promise."""
    for ipc in (1, 2):
        condensed = bench.condensed(ipc=ipc)
        if bench.info.kind == "reference" or condensed.label_space != "hard":
            continue
        ctx = bench.context(bench.place(ipc=ipc))
        counts = condensed.labels.bincount(minlength=ctx.dataset.classes).tolist()
        wanted = list(ctx.per_class)
        promised = bench.params(bench.place(ipc=ipc)).class_counts
        times = max(1, len(condensed) // sum(wanted)) if condensed.storage.codes else 1
        keep_promise(counts, [times * n for n in wanted], promised, f"ipc {ipc}")


def keep_promise(counts: list[int], wanted: list[int], promised: ClassCounts, where: str) -> None:
    """Hold a set's images of each class against the budget's."""
    if promised == "exact":
        assert counts == wanted, f"{where}: classes have {counts} images, the budget says {wanted}"
    elif promised == "at_most":
        over = [c for c, (have, most) in enumerate(zip(counts, wanted, strict=True)) if have > most]
        assert not over, f"{where}: classes {over} have more images than the budget allows: {counts}"
    else:
        fits = sum(counts) == sum(wanted) or (promised == "total_at_most" and sum(counts) < sum(wanted))
        assert fits, f"{where}: it has {sum(counts)} images, the budget says {sum(wanted)}"


def classes_may_be_short(bench: Bench) -> None:
    """Where classes have fewer images than ipc, a set keeps to `ctx.per_class`, or `Params.unsupported` says why."""
    try:
        place = bench.place(ipc=SHORT_IPC, size=SHORT_SIZE)
    except UsageError:
        return  # refused before anything ran
    if bench.info.kind == "reference":
        return
    ctx, where = bench.context(place), f"ipc {SHORT_IPC} of classes that have {SHORT_IPC - 1} or {SHORT_IPC} images"
    try:
        condensed = bench.made(place)
    except NodeFailureError as error:
        raise AssertionError(f"{where}: {error.status}: {error}: use ctx.per_class, not one ipc") from error
    slots = condensed.labels if condensed.label_space == "hard" else condensed.aux.get("classes")
    times = 1 if not condensed.storage.codes else max(1, len(condensed) // sum(ctx.per_class))
    wanted = [times * n for n in ctx.per_class]
    if slots is not None:
        keep_promise(
            slots.bincount(minlength=ctx.dataset.classes).tolist(), wanted, bench.params(place).class_counts, where
        )
    else:
        assert len(condensed) == sum(wanted), f"{where}: the set has {len(condensed)} images, the budget {sum(wanted)}"


def bytes_are_foreseen(bench: Bench) -> None:
    """A set takes the bytes that its params say, hard labels aside: `random@bytes` and `random@uint8` rest on it."""
    for ipc in (1, 2):
        place = bench.place(ipc=ipc)
        ctx, condensed = bench.context(place), bench.condensed(ipc=ipc)
        foreseen = bench.params(place).stored_bytes(sum(ctx.per_class), ctx.dataset)
        if foreseen is None:
            continue
        size = condensed.storage
        taken = size.total - (size.labels if condensed.label_space == "hard" else 0)
        assert foreseen == taken, f"ipc {ipc}: foreseen are {foreseen} bytes, the set takes {taken}: {size}"
        pixels = bench.params(place).stored_pixels(sum(ctx.per_class), ctx.dataset)
        if pixels is not None:
            assert 4 * pixels == size.images + size.codes, (
                f"ipc {ipc}: foreseen are {pixels} float32 pixels, the set has {size}"
            )
