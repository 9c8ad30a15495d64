"""Laws about an evaluation protocol: what it declares, the sets it takes, its randomness, what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ddbench.core.api import CondensedSet, ProtocolInfo, ProtocolParams, Recipe, State, StorageBytes
from ddbench.core.documents import ArtifactDocument
from ddbench.core.errors import DDBenchError, InterruptedRunError, NodeFailureError
from ddbench.core.keys import artifact_key, student_seed
from ddbench.core.plugin.protocols import Protocol
from ddbench.core.profiles import profile, profiles
from ddbench.core.specs import Budget, CellSpec, EvalSpec, PlannedEvaluation
from ddbench.core.store import artifacts
from ddbench.core.store.folder import Store
from ddbench.core.store.tensors import load_state, save_state
from ddbench.data.describe import describe
from ddbench.data.prepared.on_disk import find
from ddbench.data.space.split import open_splits
from ddbench.models.names import parse
from ddbench.models.names import student as student_info
from ddbench.testing import compare
from ddbench.testing.member import MEMBER_CHECKS, NARROW, MemberBench, digits
from ddbench.testing.record_checks import no_torch_is_imported, params_are_closed
from ddbench.testing.subject import with_log
from ddbench.work.engine import Engine
from ddbench.work.evaluate.inputs import Inputs, network
from ddbench.work.evaluate.stage import checked
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Silent
from ddbench.work.node import run_node

PER_CLASS = 2
TESTED = 16
"""Images that predictors are tried on, of val."""

Tick = Callable[[int, int, Callable[[], State]], None]


class ProtocolBench(MemberBench[ProtocolInfo]):
    """Trains students of one protocol on two images of each class of digits."""

    @cached_property
    def protocol(self) -> Protocol:
        """The protocol, as plans see it."""
        return Protocol.find(self.info.name, self.registries)

    @property
    def student(self) -> str:
        """A narrow ConvNet, or the protocol's default where it does not evaluate that."""
        own = self.info.students
        if not own or "convnet" in own or "convnet2" in own:
            return NARROW
        bases = {base for family in self.registries.architectures for base in family.bases}
        return parse(own[0], self.registries.architectures).canonical if own[0] in bases else own[0]

    @cached_property
    def data(self) -> Any:
        """Train and val of digits, and the facts about them."""
        spec = digits()
        return *open_splits(spec, device="cpu"), describe(find(spec.name, spec.revision), spec), spec

    def params(self, profile_name: str = "smoke", n: int = 10 * PER_CLASS) -> ProtocolParams:
        """The params of an evaluation."""
        student = student_info(self.student, self.registries.architectures)
        return self.protocol.resolve(n=n, data=self.data[2], student=student, profile=profile(profile_name))

    def planned(self, e: int = 0) -> PlannedEvaluation:
        """The evaluation that the protocol is asked about."""
        cell = CellSpec(
            method="random", method_version=1, origin="ddbench", params={}, data=self.data[3],
            budget=Budget(ipc=PER_CLASS), arch=NARROW, master=0, r=0,
        )  # fmt: skip
        spec = EvalSpec(
            set="0" * 64, protocol=self.info.name, protocol_version=self.info.version,
            protocol_params=self.params().model_dump(mode="json"), arch=self.student, master=0, r=0, e=e,
        )  # fmt: skip
        return PlannedEvaluation(spec, cell)

    @cached_property
    def folders(self) -> Mapping[str, Path]:
        """The artifacts that the protocol declares, built."""
        store, engine = Store(self.folder / "runs"), Engine(device="cpu", threads=torch.get_num_threads())
        found = {}
        for name, declared in self.protocol.ask(self.params(), self.planned(), self.data[2])[1].items():
            spec = self.registries.with_origins(declared)
            key = artifact_key(spec, self.registries.artifacts.get(spec.kind).version)
            if artifacts.manifest(spec.kind, key) is None:
                node = ArtifactDocument(key=key, artifact=spec)
                made = run_node(
                    node, store, engine, registries=self.registries, interrupts=Interrupts(), monitor=Silent()
                )
                if made.status != "ok":
                    raise with_log(AssertionError(made.reason), store.log(node))
            found[name] = artifacts.verify(spec.kind, key)
        return found

    def real(self) -> CondensedSet:
        """The first images of each class, as indices."""
        train = self.data[0]
        index = torch.cat([train.of_class(c)[:PER_CLASS] for c in range(self.data[2].classes)])
        size = StorageBytes(images=len(index) * self.data[2].image_bytes, labels=len(index))
        return CondensedSet(None, train.labels[index], "hard", train.preprocess, Recipe(), size, indices=index)

    def synthetic(self) -> CondensedSet:
        """The same images as pixels."""
        real = self.real()
        return replace(real, images=self.data[0].images(real.indices).clone(), indices=None)

    def soft(self) -> CondensedSet:
        """The same with logits as labels, of which the class's own is largest."""
        synthetic = self.synthetic()
        noise = torch.rand(len(synthetic), self.data[2].classes, generator=torch.Generator().manual_seed(0))
        logits = noise + 4 * nn.functional.one_hot(synthetic.labels, self.data[2].classes)
        return replace(synthetic, labels=logits, label_space="logits")

    def fit(
        self, condensed: CondensedSet, e: int = 0, resumed: State | None = None, tick: Tick | None = None
    ) -> Callable[[Tensor], Tensor]:
        """A trained predictor, held against what the core demands of it."""
        train, val, info, spec = self.data
        params = self.params()
        recipe = condensed.recipe if self.info.follows_recipe else None
        inputs = Inputs(
            params, params.lr[0], recipe, train, val, info, torch.device("cpu"), self.folders, resumed=resumed,
            on_tick=tick or (lambda done, total, state: None),
        )  # fmt: skip
        seed = student_seed(0, spec.name, 0, e, self.student)
        made = self.protocol.load()().fit(condensed, self.network, seed, inputs)
        return checked(made, self.info, self.student, info.classes)

    def network(self, seed: int) -> nn.Module:
        """A new student."""
        return network(self.student, self.data[2], torch.device("cpu"), seed, self.registries.architectures)

    def logits(
        self, condensed: CondensedSet, e: int = 0, resumed: State | None = None, tick: Tick | None = None
    ) -> Tensor:
        """What a student says about images of val, [TESTED, K]."""
        return self.fit(condensed, e, resumed, tick)(self.images())

    def images(self) -> Tensor:
        """Images of val that predictors are tried on."""
        images: Tensor = self.data[1].images(torch.arange(TESTED))
        return images


def record_is_complete(bench: ProtocolBench) -> None:
    """The record names classes that exist, students that exist, and protocols that are registered."""
    info = bench.info
    bench.protocol.load()
    names = {name for family in bench.registries.architectures for name in (family.name, *family.bases)}
    unknown = [name for name in info.students if name not in names]
    assert not (info.trains_student and unknown), f"students names {unknown}, which are no architectures"
    if info.students and info.students[0] in names:
        try:
            parse(info.students[0], bench.registries.architectures)
        except DDBenchError:
            problem = (
                f"students begins with {info.students[0]!r}, a family: the first is the default, so name a network"
            )
            raise AssertionError(problem) from None
    standing = info.standing
    for other in (standing.own_recipe, standing.unaugmented, standing.full_under):
        assert other is None or other in bench.registries.protocols, f"standing names {other!r}, which is no protocol"


def params_import_no_torch(bench: ProtocolBench) -> None:
    """Importing the params imports no torch."""
    module = bench.info.params.partition(":")[0]
    no_torch_is_imported(module, bench.plugin if bench.plugin and bench.plugin.stem == module else None)


def params_are_described(bench: ProtocolBench) -> None:
    """Every parameter has a description; params are frozen and closed."""
    params_are_closed(bench.protocol.params)


def params_follow_from_the_place(bench: ProtocolBench) -> None:
    """`resolve` answers for small and large sets under every profile, always alike, and the same after JSON."""
    for name in profiles():
        for n in (1, 10, 500, 50_000):
            first, second = bench.params(name, n), bench.params(name, n)
            assert first == second, f"profile {name}, {n} images: resolve answers differently when asked twice"
            again = type(first).model_validate(first.model_dump(mode="json"))
            assert again == first, f"profile {name}, {n} images: params are others after JSON: keys would not match"
            assert all(lr > 0 for lr in first.lr), f"profile {name}, {n} images: lr holds {min(first.lr)}"


def declarations_are_pure(bench: ProtocolBench) -> None:
    """`artifacts` and `unsupported` answer alike when asked twice, for every student, and name registered kinds."""
    answers = [bench.protocol.ask(bench.params(), bench.planned(e), bench.data[2]) for e in (0, 0, 1)]
    assert answers[0] == answers[1], "artifacts or unsupported answer differently when asked twice"
    assert answers[0][0] == answers[2][0], "unsupported depends on the student's seed: a row would be half there"
    assert answers[0][0] is None, f"it does not support {bench.student} on digits: {answers[0][0]}"
    for name, spec in answers[0][1].items():
        assert spec.kind in bench.registries.artifacts, f"artifact {name!r}: kind {spec.kind!r} is not registered"


def all_forms_of_sets_are_taken(bench: ProtocolBench) -> None:
    """Sets of real images (indices), of pixels, and with soft labels are evaluated, or refused by NodeFailureError."""
    for form in (bench.real, bench.synthetic, bench.soft):
        condensed = form()
        try:
            predictor = bench.fit(condensed)
        except NodeFailureError as error:
            assert form is bench.soft, f"a {form.__name__} set: {error.reason}"
            continue
        try:
            predictor(bench.images())
        except NodeFailureError as error:
            raise AssertionError(f"a {form.__name__} set: {error.reason}") from error


def predictors_are_in_eval_mode(bench: ProtocolBench) -> None:
    """The predictor runs its networks in eval mode, and predicts an image whichever others are in its batch."""
    try:
        predictor = bench.fit(bench.synthetic())
        together = predictor(bench.images())
    except NodeFailureError as error:
        raise AssertionError(error.reason) from error
    alone = torch.cat([predictor(image[None]) for image in bench.images()])
    assert torch.allclose(together, alone, atol=1e-3), "the predictor predicts an image by those beside it"


def students_are_deterministic(bench: ProtocolBench) -> None:
    """Two students of one seed predict the same to the bit, whatever the global generators hold."""
    found = []
    for seed in (1, 2):
        with compare.global_seeds(seed):
            found.append(bench.logits(bench.synthetic()))
    assert torch.equal(*found), "two students of one seed differ; derive every draw from `seed`"


def seeds_matter_where_a_student_is_trained(bench: ProtocolBench) -> None:
    """Students of other seeds predict otherwise; where `trains_student` is False the seed decides nothing."""
    same = torch.equal(bench.logits(bench.synthetic()), bench.logits(bench.synthetic(), e=1))
    if bench.info.trains_student:
        assert not same, "all students are the same: derive from `seed`, or declare trains_student=False"
    else:
        assert same, "trains_student is False, but the seed matters: only student 0 would ever be seen"


def the_sets_labels_decide(bench: ProtocolBench) -> None:
    """The same images with other labels make another predictor, also where indices name real images."""
    for form in (bench.real, bench.synthetic):
        plain = form()
        other = replace(plain, labels=(plain.labels + 1) % bench.data[2].classes)
        same = torch.equal(bench.logits(plain), bench.logits(other))
        assert not same, f"a {form.__name__} set: labels do not matter; use condensed.labels, not those of real images"


def hard_labels_are_classes(bench: ProtocolBench) -> None:
    """Where `labels` is "hard", soft labels count as their arg max."""
    if bench.info.labels != "hard":
        return
    try:
        soft = bench.logits(bench.soft())
    except NodeFailureError as error:
        raise AssertionError(f'labels is "hard", but a set with soft labels is refused: {error.reason}') from error
    same = torch.equal(soft, bench.logits(bench.synthetic()))
    assert same, 'labels is "hard", but soft labels teach something else than their arg max'


def shared_state_is_untouched(bench: ProtocolBench) -> None:
    """Training and predicting leave the global generators, torch's settings, the set, and all real images alone."""
    condensed = bench.synthetic()
    copied = condensed.copy()
    images = bench.images()
    lent = {"train": bench.data[0].images(), "val": bench.data[1].images(), "train labels": bench.data[0].labels}
    lent["the images to predict"] = images
    before = {name: compare.fingerprint(tensor) for name, tensor in lent.items()}
    random, settings = compare.global_randomness(), compare.Settings()
    try:
        bench.fit(condensed)(images)
        touched = compare.changed(random, compare.global_randomness())
        assert not touched, f"uses the global generator of {', '.join(touched)}; derive every draw from `seed`"
        touched = settings.touched()
        assert not touched, f"changes {', '.join(touched)} for the whole process"
        found = compare.difference(copied, condensed)
        assert found is None, f"writes into the set: {found}"
        touched = compare.changed(before, {name: compare.fingerprint(tensor) for name, tensor in lent.items()})
        assert not touched, f"writes into {', '.join(touched)}: clone before an in-place operation"
    finally:
        settings.restore()


def interruption_changes_nothing(bench: ProtocolBench) -> None:
    """Stopped at a tick and resumed from its state, a student predicts the same to the bit."""
    ticks = 0

    def count(done: int, total: int, state: Callable[[], State]) -> None:
        nonlocal ticks
        ticks += 1

    whole = bench.logits(bench.synthetic(), tick=count)
    assert ticks or not bench.info.trains_student, "never calls artifacts.tick: it can be neither stopped nor resumed"
    kept: list[State] = []
    at = max(1, ticks // 2)
    ticks = 0

    def stop(done: int, total: int, state: Callable[[], State]) -> None:
        nonlocal ticks
        ticks += 1
        if ticks == at:
            path = bench.folder / "tick.safetensors"
            save_state(path, state())
            kept.append(load_state(path))
            raise InterruptedRunError("stopped")

    try:
        bench.logits(bench.synthetic(), tick=stop)
    except InterruptedRunError:
        found = bench.logits(bench.synthetic(), resumed=kept[0])
        hint = "the state given to tick must hold all that training changes, and artifacts.resume() gives it back"
        assert torch.equal(whole, found), f"stopped at tick {at} and resumed, the student is another: {hint}"


PROTOCOL_CHECKS: tuple[Any, ...] = (
    *MEMBER_CHECKS,
    record_is_complete,
    params_import_no_torch,
    params_are_described,
    params_follow_from_the_place,
    declarations_are_pure,
    all_forms_of_sets_are_taken,
    predictors_are_in_eval_mode,
    students_are_deterministic,
    seeds_matter_where_a_student_is_trained,
    the_sets_labels_decide,
    hard_labels_are_classes,
    shared_state_is_untouched,
    interruption_changes_nothing,
)
