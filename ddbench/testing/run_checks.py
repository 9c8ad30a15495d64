"""Laws about what a method does: its sets, its randomness, its state, what it leaves alone. Each runs it on digits."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from ddbench.blocks.sampling import first_of_each_class
from ddbench.core.api import CondensedSet, Method, Recipe, StorageBytes
from ddbench.core.errors import NodeFailureError, first_problem
from ddbench.core.store.tensors import load_set, save_set, save_state
from ddbench.data.space.split import Split
from ddbench.testing import compare
from ddbench.testing.budget_checks import bytes_are_foreseen, class_counts_fit_the_budget, classes_may_be_short
from ddbench.testing.recipe_checks import recipes_can_be_followed
from ddbench.testing.subject import Bench
from ddbench.work.context import Context
from ddbench.work.continuation import continues

OTHER_ARCH = "convnet2-w8-in"
"""A network that is not the default of digits."""


def sets_are_accepted(bench: Bench) -> None:
    """At ipc 1 and 2 the method makes a set that the product accepts, in the declared preprocessing."""
    for ipc in (1, 2):
        try:
            condensed = bench.condensed(ipc=ipc)
        except NodeFailureError as error:
            raise AssertionError(f"ipc {ipc}: {error.status}: {error}") from error
        problems = list(_malformed(condensed, bench.context(bench.place(ipc=ipc))))
        assert not problems, f"ipc {ipc}: {'; '.join(problems)}"


def _malformed(condensed: CondensedSet, ctx: Context) -> Iterator[str]:
    images, indices, space = condensed.images, condensed.indices, condensed.label_space
    if images is not None and images.dtype != torch.float32:
        yield f"images are {images.dtype}, not torch.float32"
    if images is not None and images.requires_grad:
        yield "images still require a gradient: detach them"
    wanted = torch.int64 if space == "hard" else torch.float32
    if condensed.labels.dtype != wanted:
        yield f"{space} labels are {condensed.labels.dtype}, not {wanted}"
    if indices is not None and indices.dtype != torch.int64:
        yield f"indices are {indices.dtype}, not torch.int64"
    if indices is not None and space == "hard" and not torch.equal(ctx.train.labels[indices], condensed.labels):
        yield "labels are not those of the real images that indices name"
    if condensed.storage.images <= 0 and condensed.storage.codes <= 0:
        yield "storage says that images cost nothing to keep"


def no_steps_make_the_initialisation(bench: Bench) -> None:
    """A distiller with 0 iterations makes a set as well: what it starts from, a row of its own with `--controls`."""
    place = bench.place()
    if bench.info.kind != "distillation" or "iterations" not in place.spec.params:
        return
    try:
        condensed = bench.made(place.with_params(iterations=0))
    except ValidationError as error:
        raise AssertionError(f"params refuse iterations=0: {first_problem(error)}") from None
    except NodeFailureError as error:
        raise AssertionError(f"{error.status}: {error}") from error
    assert len(condensed) == len(bench.condensed()), "it has another size than the set after all steps"


def labels_alone_are_its_own(bench: Bench) -> None:
    """Where a record says `labels_only`, sets hold `random`'s images: its row is not trained where labels are not."""
    if not bench.info.labels_only:
        return
    place = bench.place(ipc=2)
    ctx, condensed = bench.context(place), bench.made(place)
    first = first_of_each_class(ctx)
    images = ctx.train.images(condensed.indices) if condensed.images is None else condensed.images
    same = images.shape == ctx.train.images(first).shape and torch.equal(images, ctx.train.images(first))
    assert same, "labels_only is True, but the images are not those of random (first_of_each_class), in this order"


def sets_survive_the_file(bench: Bench) -> None:
    """A set is the same to the bit after `condensed.safetensors` was written and read."""
    condensed = bench.condensed()
    path = bench.scratch / "condensed.safetensors"
    save_set(path, condensed)
    found = compare.difference(condensed, load_set(path))
    assert found is None, f"after writing and reading the set, {found}"


def runs_are_deterministic(bench: Bench) -> None:
    """Two runs of a cell give the same set to the bit, whatever the global generators hold."""
    place = bench.place(ipc=2)
    runs = []
    for seed in (1, 2):
        with compare.global_seeds(seed):
            runs.append(bench.drive(place))
    found = compare.difference(*runs)
    assert found is None, f"two runs differ: {found}; draw from ctx.generator or ctx.private_seed(…) only"


def repetitions_differ(bench: Bench) -> None:
    """Where "seed" is among the axes, repetitions give different sets."""
    if "seed" in bench.info.axes:
        found = compare.difference(bench.condensed(ipc=2), bench.condensed(ipc=2, r=1))
        assert found is not None, 'repetitions 0 and 1 give the same set: draw from ctx, or take "seed" out of axes'


def axes_are_honest(bench: Bench) -> None:
    """The result does not depend on budget, arch or seed unless it is among the axes, which decide its key."""
    base: dict[str, Any] = {"ipc": 2}
    variations: dict[str, dict[str, Any]] = {"budget": {"ipc": 1}, "arch": {"arch": OTHER_ARCH}, "seed": {"r": 1}}
    for axis, change in variations.items():
        if axis not in bench.info.axes:
            first, second = (bench.drive(bench.place(**where)) for where in (base, base | change))
            found = compare.difference(first, second)
            assert found is None, f"axes leave out {axis!r}, but the set depends on it: {found}"


def global_randomness_is_untouched(bench: Bench) -> None:
    """No stage touches the global generators of torch, numpy or Python."""
    before = compare.global_randomness()

    def probe(method: Method[Any], ctx: Context, where: str) -> None:
        touched = compare.changed(before, compare.global_randomness())
        assert not touched, f"{where} uses the global generator of {', '.join(touched)}; draw from ctx.generator"

    bench.drive(bench.place(), probe)


def settings_are_untouched(bench: Bench) -> None:
    """No stage changes what the whole process shares: settings of torch, the environment, handlers of signals."""
    before = compare.Settings()

    def probe(method: Method[Any], ctx: Context, where: str) -> None:
        touched = before.touched()
        assert not touched, f"{where} changes {', '.join(touched)} for the whole process"

    try:
        bench.drive(bench.place(), probe)
    finally:
        before.restore()


def processes_are_ended(bench: Bench) -> None:
    """No process that the method started runs on after the last `finalise`: seconds of living ones are not counted."""
    before = set(multiprocessing.active_children())
    left: set[BaseProcess] = set()

    def probe(method: Method[Any], ctx: Context, where: str) -> None:
        if where == "finalise":
            left.update(set(multiprocessing.active_children()) - before)

    bench.drive(bench.place(), probe)
    for process in left:
        process.kill()
    names = ", ".join(sorted(process.name for process in left))
    assert not left, f"still running after finalise: {names}; end and join what prepare or step starts"


def shared_tensors_are_untouched(bench: Bench) -> None:
    """No stage writes into the tensors that the context lends: images and labels of train and val."""
    ctx = bench.context(bench.place())
    before = compare.shared_tensors(ctx)

    def probe(method: Method[Any], ctx: Context, where: str) -> None:
        written = compare.changed(before, compare.shared_tensors(ctx))
        assert not written, f"{where} writes into {', '.join(written)}: clone before an in-place operation"

    bench.drive(bench.place(), probe, ctx)


def val_decides_nothing(bench: Bench) -> None:
    """With other images in val the method makes the same set, unless `Params.chooses_on_val` says that val decides."""
    place = bench.place(ipc=2)
    if bench.params(place).chooses_on_val:
        return
    ctx = bench.context(place)
    ctx.val = Negative(ctx.val)
    found = compare.difference(bench.drive(place), bench.drive(place, ctx=ctx))
    assert found is None, f"the set depends on val's images: {found}; declare it (Params.chooses_on_val) or look away"


class Negative(Split):
    """The same labels with the negatives of the images."""

    def __init__(self, split: Split) -> None:
        self.__dict__ |= split.__dict__
        self._floats = None

    def pixels(self, index: Tensor | None = None) -> Tensor:
        """1 − each pixel."""
        return super().pixels(index).neg_().add_(1)


def artifacts_are_declared(bench: Bench) -> None:
    """The method reads artifacts that `Params.artifacts` declared, and leaves their files as they are."""
    place = bench.place()
    before = {name: compare.tree(folder) for name, folder in place.folders.items()}
    ctx = bench.context(place)
    bench.drive(place, ctx=ctx)
    undeclared = sorted(set(ctx.asked) - set(place.folders))
    assert not undeclared, f"asks for {', '.join(undeclared)}, which Params.artifacts does not declare"
    for name, folder in place.folders.items():
        changes = sorted(set(before[name].items()) ^ set(compare.tree(folder).items()))
        assert not changes, f"writes into the shared artifact {name!r}: {changes[0][0]}"


def another_set_is_a_start(bench: Bench) -> None:
    """A method that takes the set of another row (`ctx.initial`) makes another set of it, always the same one."""
    if not bench.info.takes_initial:
        return
    place, made = bench.place(ipc=2), []
    for _ in range(2):
        ctx = bench.context(place)
        ctx.initial, lent = _last_images(ctx), _last_images(ctx)
        made.append(bench.drive(place, ctx=ctx))
        found = compare.difference(ctx.initial, lent)
        assert found is None, f"it writes into ctx.initial: {found}; clone before an in-place operation"
    found = compare.difference(*made)
    assert found is None, f"started twice from one set: {found}"
    assert compare.difference(made[0], bench.drive(place)) is not None, "it makes the same set without ctx.initial"


def _last_images(ctx: Context) -> CondensedSet:
    """A set of real images with hard labels: the last ones of each class in train."""
    chosen = torch.cat(
        [ctx.train.of_class(c).cpu()[len(ctx.train.of_class(c)) - n :] for c, n in enumerate(ctx.per_class)]
    )
    size = StorageBytes(images=len(chosen) * ctx.dataset.image_bytes, labels=len(chosen))
    labels = ctx.train.labels.cpu()[chosen]
    return CondensedSet(None, labels, "hard", ctx.train.preprocess, Recipe(), size, indices=chosen)


def no_test_split_is_in_reach(bench: Bench) -> None:
    """Nothing that the context holds leads to the test split."""
    ctx = bench.context(bench.place())
    known = {id(ctx.train), id(ctx.val)}
    for path, value in _reachable(ctx):
        assert not isinstance(value, Split) or id(value) in known, f"{path} is a split besides train and val"


def _reachable(ctx: Context) -> Iterator[tuple[str, Any]]:
    """Public attributes of a context, and those of its parts."""
    for name in _public(ctx):
        part = getattr(ctx, name)
        yield f"ctx.{name}", part
        for inner in _public(part):
            yield f"ctx.{name}.{inner}", getattr(part, inner, None)


def _public(value: Any) -> list[str]:
    """Names of the attributes of an object of ddbench's that do not start with an underscore."""
    ours = type(value).__module__.startswith("ddbench.")
    return [name for name in dir(value) if ours and not name.startswith("_")]


def finalise_is_pure(bench: Bench) -> None:
    """`finalise` may be called after any step: it changes nothing, and its set stays as it was."""
    place = bench.place()
    plain = bench.drive(place)
    earlier: list[tuple[str, CondensedSet, CondensedSet]] = []

    def probe(method: Method[Any], ctx: Context, where: str) -> None:
        if not where.startswith("step"):
            return
        generator = ctx.generator.get_state()
        first = method.finalise(ctx)
        earlier.append((where, first, first.copy()))
        found = compare.difference(first, method.finalise(ctx))
        assert found is None, f"finalise called twice after {where} gives two sets: {found}"
        assert torch.equal(generator, ctx.generator.get_state()), f"finalise after {where} draws from ctx.generator"

    found = compare.difference(plain, bench.drive(place, probe))
    assert found is None, f"calling finalise after every step changes the final set: {found}"
    for where, handed_out, copied in earlier:
        found = compare.difference(handed_out, copied)
        assert found is None, f"the set handed out after {where} changes later ({found}): clone what finalise returns"


def state_is_plain(bench: Bench) -> None:
    """After any step `state_dict` holds nested dicts and lists of Tensor, int, float, str, bool, None."""

    def probe(method: Method[Any], ctx: Context, where: str) -> None:
        if where.startswith("step"):
            state = method.state_dict()
            assert isinstance(state, Mapping), f"state_dict after {where} is of type {type(state).__name__}, not a dict"
            try:
                save_state(bench.scratch / "state.safetensors", state)
            except TypeError as error:
                raise AssertionError(f"after {where}, {error}") from None

    bench.drive(bench.place(), probe)


def interruption_changes_nothing(bench: Bench) -> None:
    """Killed after every step and resumed from its checkpoint, the method makes the same set to the bit."""
    place, seen = bench.place(ipc=2), []
    whole = bench.drive(place, lambda method, ctx, where: seen.append(where))
    resumed = bench.killed_after_every_step(place, sum(where.startswith("step") for where in seen))
    found = compare.difference(whole, resumed)
    hint = "state_dict must hold all that step changes, and prepare must not depend on what step left behind"
    assert found is None, f"interrupted and resumed, the set is another: {found}; {hint}"


def longer_runs_continue(bench: Bench) -> None:
    """If params say that it continues, a run of more iterations makes the same set from where one of fewer ended."""
    place = bench.place(ipc=2)
    if not continues(bench.params(place)):
        return
    longer = place.with_params(iterations=place.spec.params["iterations"] + 1)
    found = compare.difference(bench.made(longer), bench.continued(place, longer))
    assert found is None, f"continued from a shorter run, the set is another: {found}; take `continues` out of Params"


RUN_CHECKS: tuple[Any, ...] = (
    sets_are_accepted,
    no_steps_make_the_initialisation,
    class_counts_fit_the_budget,
    classes_may_be_short,
    bytes_are_foreseen,
    recipes_can_be_followed,
    labels_alone_are_its_own,
    sets_survive_the_file,
    runs_are_deterministic,
    repetitions_differ,
    axes_are_honest,
    global_randomness_is_untouched,
    settings_are_untouched,
    processes_are_ended,
    shared_tensors_are_untouched,
    val_decides_nothing,
    artifacts_are_declared,
    another_set_is_a_start,
    no_test_split_is_in_reach,
    finalise_is_pure,
    state_is_plain,
    interruption_changes_nothing,
    longer_runs_continue,
)
