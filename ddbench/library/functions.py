"""``ddbench.run``, ``read``, ``evaluate`` and ``load_set``: the commands, for programs and notebooks.

What they compute runs in worker processes, so that the calling process keeps its threads, generators and settings.
Nothing is printed unless asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ddbench.core.durations import seconds_of
from ddbench.core.errors import InterruptedRunError, UsageError
from ddbench.core.plugin.loader import one_file_plugins
from ddbench.core.process_state import kept
from ddbench.library.arguments import by_name, file_of, listed, one_of, paths, settings, sizes, speaking_of, words_given
from ddbench.library.causes import causes
from ddbench.library.folders import each_once, folder_at, opened
from ddbench.library.results import Results
from ddbench.library.runs import How, Watcher, perform, planned
from ddbench.plan.collect import called_as_made, collect, remember, stored
from ddbench.plan.graph import Plan
from ddbench.plan.mistakes import checked
from ddbench.work.executors.base import check_executor
from ddbench.work.executors.sharing import Isolate
from ddbench.work.executors.wanted import wanted_of
from ddbench.work.monitor import Silent

if TYPE_CHECKING:
    from ddbench.core.api import CondensedSet
    from ddbench.core.store.folder import Store
    from ddbench.plan.graph import Node

PathLike: TypeAlias = "str | Path"
Names: TypeAlias = str | Sequence[str]


class _Quiet(Silent):
    """A monitor that tells nobody and holds nothing."""

    def expect(self, line: str, nodes: Sequence[Node], jobs: int | None) -> None:
        """Ignore it."""

    def close(self) -> None:
        """Hold nothing."""


def run(
    methods: Sequence[str | Mapping[str, Any]] | str = (),
    *,
    ipc: int | Sequence[int] = (),
    fraction: float | Sequence[float] = (),
    datasets: Sequence[str | Mapping[str, Any]] | str = (),
    suite: PathLike | None = None,
    archs: Names = (),
    eval_archs: Names = (),
    preprocess: Names = (),
    protocols: Names = (),
    seeds: int | None = None,
    eval_seeds: int | None = None,
    random_seeds: int | None = None,
    set: Mapping[str, Mapping[str, Any]] | None = None,
    profile: str | None = None,
    split: Literal["default", "paper"] | None = None,
    controls: bool = False,
    plugin: PathLike | Sequence[PathLike] = (),
    out: PathLike = "runs",
    retry_failed: bool = False,
    reference_limit: float | str = "30m",
    executor: str | None = None,
    resources: Mapping[str, Any] | None = None,
    store: Literal["shared", "driver"] = "shared",
    jobs: int | None = 1,
    threads: int | None = None,
    device: str = "auto",
    engine: str = "auto",
    isolate: Isolate = "always",
    timeout: float | str | None = None,
    keep_logits: bool = False,
    progress: bool | str = False,
) -> Results:
    """Run methods on data sets; everything finished is kept, and the same call continues.

    The words are those of `ddbench run`.

    Args:
        methods: Names, or entries of a suite: ``{"name": "dm", "params": {"iterations": 500}, "label": "dm-500"}``.
        ipc: Images per class.
        fraction: Shares of the training images, in (0, 1].
        datasets: Names, ``"my=folder:PATH"``, or entries of a suite with a ``view``. [digits]
        suite: YAML file, or the name of a suite that comes with ddbench.
        archs: Condensing networks. [the data set's default]
        eval_archs: Student networks. [the condensing network]
        preprocess: Spaces of the images. [meanstd]
        protocols: Evaluation protocols. [hard]
        seeds: Repetitions of condensation.
        eval_seeds: Students of each.
        random_seeds: Repetitions of ``random`` under ``hard``.
        set: Parameters by method: ``{"dm": {"iterations": 500}}``.
        profile: ``smoke``, ``short`` or ``paper``. [short]
        split: ``paper``: condense from train ∪ val.
        controls: Plan the control rows of every method as well.
        plugin: One-file plugins.
        out: Results folder.
        retry_failed: Run cells again that failed before.
        reference_limit: References that would take longer are not measured: seconds, or ``"30m"``.
        executor: ``local``, ``processes``, ``slurm`` or ``ray``. [local; with ``jobs`` processes]
        resources: What nodes on a cluster get: ``{"cpus": 4, "mem": "8G", "slurm_qos": "high"}``.
        store: ``driver``: Ray's workers see neither ``out`` nor ``DDBENCH_HOME``.
        jobs: Nodes at once; None: as many as suit.
        threads: CPU threads of each.
        device: ``auto``, ``cpu``, ``cuda``, GPUs by name, or ``all``.
        engine: ``auto``, ``eager``, ``fused`` or ``bf16``.
        isolate: Which nodes run outside of this process; ``never`` computes in it, and its settings are put back.
        timeout: Longest time of one node: seconds, or ``"10m"``.
        keep_logits: Store test logits beside predictions.
        progress: Show bars (True), or ``"plain"`` or ``"json"`` lines on stderr.

    Returns:
        The results of what was asked for, failures included.

    Raises:
        UsageError: If something is wrong or missing; nothing was computed.
        StoreError: If nothing can be written.
        KeyboardInterrupt: If the user stopped; the same call continues.
    """
    from ddbench.library.suites import suite_of

    words = {
        "suite": suite, "methods": listed(methods), "datasets": listed(datasets), "ipc": sizes(ipc, int),
        "fraction": sizes(fraction, float), "archs": listed(archs), "eval_archs": listed(eval_archs),
        "preprocess": listed(preprocess), "protocols": listed(protocols), "seeds": seeds, "eval_seeds": eval_seeds,
        "random_seeds": random_seeds, "profile": profile, "split": split, "controls": controls, "engine": engine,
        "settings": settings(set or {}),
        "where": "ddbench.run",
    }  # fmt: skip
    one_of("store", store, ("shared", "driver"))
    wanted = wanted_of(words_given(resources), store)
    how = _how(
        timeout, reference_limit, executor=executor, jobs=jobs, threads=threads, device=device, engine=engine,
        isolate=isolate, retry_failed=retry_failed, keep_logits=keep_logits, wanted=wanted,
    )  # fmt: skip
    with kept(known=True), one_file_plugins(paths(plugin)) as registries, speaking_of({}):
        check_executor(executor, how.jobs, device, wanted)
        folder, plan = planned(
            suite_of(words, registries), registries, folder_at(out), retry_failed=retry_failed, aside=True
        )
        return _carry_out(plan, folder, how, progress)


def read(*places: PathLike, plugin: PathLike | Sequence[PathLike] = ()) -> Results:
    """The results of folders and of ``.jsonl`` files of records, each record once.

    Args:
        places: Folders and files; none: the folder ``runs``.
        plugin: One-file plugins, where records are of their methods.

    Raises:
        UsageError: If one is neither, or cannot be read.
    """
    from ddbench.core.store.jsonl import read_records
    from ddbench.publish.leaderboard import ordered
    from ddbench.work.evaluate.predictions import Recounter

    named = [*map(Path, places or ("runs",))]
    lost = next((path for path in named if not path.exists()), None)
    if lost is not None:
        raise UsageError(f"{lost}: no such results folder or file of records")
    with kept(known=True), one_file_plugins(paths(plugin)):
        recount = Recounter()
        found = (
            stored(opened(path)) if path.is_dir() else called_as_made(read_records(path, recount=recount))
            for path in named
        )
        return Results(ordered(each_once(chain.from_iterable(found))))


def evaluate(
    sets: Any,
    *,
    dataset: str,
    preprocess: str | None = None,
    range: Literal["01", "255", "normalised"] | None = None,
    labels: Literal["hard", "probs", "logits", "centred"] | None = None,
    split: Literal["default", "paper"] = "default",
    archs: Names = (),
    eval_archs: Names = (),
    protocols: Names = (),
    seeds: int | None = None,
    eval_seeds: int | None = None,
    profile: str | None = None,
    plugin: PathLike | Sequence[PathLike] = (),
    out: PathLike = "runs",
    retry_failed: bool = False,
    reference_limit: float | str = "30m",
    jobs: int | None = 1,
    threads: int | None = None,
    device: str = "auto",
    engine: str = "auto",
    isolate: Isolate = "always",
    timeout: float | str | None = None,
    keep_logits: bool = False,
    progress: bool | str = False,
) -> Results:
    """Score sets made elsewhere, beside ``random`` and ``full``.

    A training loop that calls this goes on to the bit as if it had not.

    Args:
        sets: A :class:`ddbench.CondensedSet`; images and labels as two tensors or arrays, [n, C, H, W] and [n] or
            [n, K]; a file or folder that `ddbench evaluate` reads; or several of these by the names of their rows.
        dataset: What they were condensed from, a prepared data set.
        preprocess: The space that float images are stored in, and that sets are evaluated in.
        range: What float images are: pixels in [0, 1] or [0, 255], or already in that space.
        labels: What labels of shape [n, K] are.
        split: ``paper``: train ∪ val is train.
        archs: Students. [the data set's default]
        eval_archs: Students, where ``archs`` names what the sets are for.
        protocols: Evaluation protocols. [hard]
        seeds: Repetitions of ``random``, and of a file with several sets.
        eval_seeds: Students of each.
        profile: ``smoke``, ``short`` or ``paper``. [short]
        plugin: One-file plugins.
        out: Results folder.
        retry_failed: As in :func:`run`.
        reference_limit: As in :func:`run`.
        jobs: As in :func:`run`.
        threads: As in :func:`run`.
        device: As in :func:`run`.
        engine: As in :func:`run`.
        isolate: As in :func:`run`.
        timeout: As in :func:`run`.
        keep_logits: As in :func:`run`.
        progress: As in :func:`run`.

    Raises:
        UsageError: If a set cannot be read or does not fit the data set; nothing was computed.
        KeyboardInterrupt: If the user stopped; the same call continues.
    """
    from ddbench.core.api import CondensedSet
    from ddbench.data.exchange.files import Flags
    from ddbench.data.exchange.importer import Importer
    from ddbench.data.space.ids import named
    from ddbench.library.foreign import named_sources, suite_of_sets

    words = {
        "archs": listed(archs), "eval_archs": listed(eval_archs), "protocols": listed(protocols), "seeds": seeds,
        "eval_seeds": eval_seeds, "profile": profile, "where": "ddbench.evaluate",
    }  # fmt: skip
    how = _how(
        timeout, reference_limit, jobs=jobs, threads=threads, device=device, engine=engine, isolate=isolate,
        retry_failed=retry_failed, keep_logits=keep_logits,
    )  # fmt: skip
    one_of("range", range, ("01", "255", "normalised"))
    one_of("labels", labels, ("hard", "probs", "logits", "centred"))
    one_of("split", split, ("default", "paper"))
    with speaking_of({}):
        check_executor(None, how.jobs, device)
    flags = Flags(None if preprocess is None else named(preprocess), range, labels, None)
    named_sets = by_name(sets)
    with (
        kept(known=True), TemporaryDirectory() as folder, one_file_plugins(paths(plugin)) as registries,
        speaking_of(named_sets, Path(folder)),
    ):  # fmt: skip
        files = [file_of(one, Path(folder) / str(i)) for i, one in enumerate(named_sets.values())]
        own = [
            flags if not isinstance(one, CondensedSet) else Flags() for one in named_sets.values()
        ]  # it knows itself
        importer = Importer(registries, dataset, split)
        sources = named_sources(files, [*named_sets])
        rows = [(source, importer.take(source, each)) for source, each in zip(sources, own, strict=True)]
        suite = suite_of_sets(rows, importer, words)
        store, plan = planned(suite, registries, folder_at(out), retry_failed=retry_failed, aside=True)
        told = [line for _, understood in rows for line in understood.warnings]
        return _carry_out(plan, store, how, progress, told)


def load_set(key: PathLike, *, out: PathLike = "runs") -> CondensedSet:
    """A condensed set, on the CPU.

    Args:
        key: The beginning of its key, or of the key of one of its evaluations; or the path of a
            ``condensed.safetensors``, or of the folder that holds it.
        out: Results folder, for keys.

    Raises:
        UsageError: If there is none, or several.
        CorruptFileError: If the file is not what its record says.
    """
    from ddbench.core.store.folder import SET
    from ddbench.core.store.tensors import load_set as load
    from ddbench.library.found import find_record, set_of

    path = Path(key)
    if path.is_dir() and (path / SET).is_file():
        path = path / SET
    if path.is_file():
        return load(path)
    with kept(known=True):
        store = opened(folder_at(out))
        found = find_record(store, str(key))
        set_of(store, found)
        return store.load_set(found.folder, keep=True)[0]


def _how(timeout: float | str | None, reference_limit: float | str, **more: Any) -> How:
    """How nodes are computed, with durations as people write them.

    Raises:
        UsageError: If a word is none of those that there are, or a number impossible.
    """
    limits = {
        f"{name}_s": value if value is None else seconds_of(value, name)
        for name, value in (("timeout", timeout), ("reference_limit", reference_limit))
    }
    return checked(How, {**limits, **more}, "how nodes are computed", {})


def _carry_out(plan: Plan, store: Store, how: How, progress: bool | str, notes: Iterable[str] = ()) -> Results:
    """Run what is pending of a plan."""
    told = [*notes]
    try:
        perform(plan, store, how, _watcher(progress), told.append)
    except (InterruptedRunError, KeyboardInterrupt) as error:
        raise KeyboardInterrupt("interrupted; the same call continues where it stopped") from error
    remember(plan, store)
    failures = [f"{one.text} ({one.where})" if one.where else one.text for one in causes(plan, store)]
    return Results(collect(plan), told, failures)


def _watcher(progress: bool | str) -> Callable[[], Watcher]:
    if not progress:
        return _Quiet
    from ddbench.library.progress import Progress

    style: Any = "bar" if progress is True else progress
    if style not in ("auto", "bar", "plain", "json"):
        raise UsageError(f"progress={progress!r}: there are True, False, 'bar', 'plain' and 'json'")
    return lambda: Progress(style)
