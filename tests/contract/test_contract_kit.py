"""The contract kit itself: a sound plugin passes every check, and for every check there is a plugin that fails it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ddbench.core.errors import PluginError, UsageError
from ddbench.testing import CHECKS, Bench, MethodContract, Subject, run_check
from ddbench.work.context import Context
from tests import ordered

pytest_plugins = ["ddbench.testing.fixtures", "pytester"]

SOUND = """
from pydantic import Field
from ddbench import CondensedSet, DistillationParams, Method, MethodInfo, hookimpl
from ddbench.blocks.params import too_few_images

class SoundParams(DistillationParams):
    continues = True
    iterations: int = Field(default=3, description="outer steps")
    rate: float = Field(default=0.1, description="step size [normalised units]")

    def unsupported(self, cell, data):
        return too_few_images(cell, data)

class Sound(Method):
    def prepare(self, ctx):
        import torch
        chosen = torch.cat([ctx.train.of_class(c)[:n] for c, n in enumerate(ctx.per_class)])
        self.images = ctx.train.images(chosen)
        self.labels = ctx.train.labels[chosen]
        self.total = torch.zeros_like(self.images)

    def step(self, ctx):
        import torch
        noise = torch.randn(self.images.shape, generator=ctx.generator)
        self.total = self.total + noise
        self.images = self.images + self.params.rate * self.total
        return {"norm": self.images.norm().item()}

    def finalise(self, ctx):
        return CondensedSet.of_images(self.images, self.labels, ctx.train.preprocess)

    def state_dict(self):
        return {"images": self.images, "total": self.total}

    def load_state_dict(self, state):
        self.images, self.total = state["images"], state["total"]

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo(
        name="sound", kind="distillation", target="MODULE:Sound", params="MODULE:SoundParams", summary="a random walk",
        axes=frozenset({"budget", "seed"})))
"""

SELECTOR = """
from ddbench import MethodInfo, Params, Selection, Selector, hookimpl

class First(Selector):
    def select(self, ctx):
        import torch
        return Selection(torch.cat([ctx.train.of_class(c)[:n] for c, n in enumerate(ctx.per_class)]))

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo(name="sound", kind="selection", target="MODULE:First", params="ddbench:Params",
                            summary="the first images", axes=frozenset({"budget"})))
"""

FINALISE = "return CondensedSet.of_images(self.images, self.labels, ctx.train.preprocess)"
UPDATE = "self.total = self.total + noise"
STATE = '{"images": self.images, "total": self.total}'
DRAW = "torch.randn(self.images.shape, generator=ctx.generator)"

LENDER = SOUND.replace(
    FINALISE,
    """from ddbench import Recipe, StorageBytes
        size = StorageBytes(images=self.images.nbytes)
        return CondensedSet(self.images, self.labels, "hard", ctx.train.preprocess, Recipe(), size)""",
)
"""Sound as long as nothing writes in place."""

STARTED = SOUND.replace("axes=", "takes_initial=True, axes=").replace(
    "        self.labels = ctx.train.labels[chosen]\n",
    """        self.labels = ctx.train.labels[chosen]
        if ctx.initial is not None:
            self.images, self.labels = ctx.train.images(ctx.initial.indices), ctx.initial.labels.clone()
""",
)
"""Takes the set of another row."""

ADAM = SOUND
for _old, _new in {
    "self.total = torch.zeros_like(self.images)":
        "self.total = torch.zeros_like(self.images)\n        self.optimiser = torch.optim.Adam([self.total], lr=0.1)",
    UPDATE: "self.total.grad = noise\n        self.optimiser.step()",
    STATE: STATE[:-1] + ', "optimiser": self.optimiser.state_dict()}',
    'self.images, self.total = state["images"], state["total"]':
        'self.images = state["images"]\n        self.total.copy_(state["total"])\n'
        '        self.optimiser.load_state_dict(state["optimiser"])',
}.items():  # fmt: skip
    assert _old in ADAM
    ADAM = ADAM.replace(_old, _new)
"""Keeps the state of torch's optimiser, which has tuples and keys that are numbers."""

ORDERED = ordered.PLUGIN.replace('"ordered"', '"sound"').replace("OWN", "True")
"""Its sets are made for one network in one initial state."""

BROKEN = {
    "target is no method": (SOUND, 'target="MODULE:Sound"', 'target="MODULE:SoundParams"', "record_is_well_formed",
                            "no subclass of ddbench.Method"),
    "target does not exist": (SOUND, 'target="MODULE:Sound"', 'target="MODULE:Gone"', "record_is_well_formed", "no 'Gone'"),
    "no summary": (SOUND, '"a random walk"', '" "', "record_is_well_formed", "summary is empty"),
    "unknown control": (SOUND, "axes=", 'controls=("ghost",), axes=', "record_is_well_formed", "control 'ghost'"),
    "torch at import": (SOUND, "\nfrom pydantic", "\nimport torch\nfrom pydantic", "params_import_no_torch", "broken.py:2"),
    "torch in a try": (SOUND, "\nfrom pydantic", "\ntry:\n    import torch\nexcept ImportError:\n    pass\nfrom pydantic",
                       "params_import_no_torch", "broken.py:3"),
    "no description": (SOUND, 'default=0.1, description="step size [normalised units]"', "default=0.1",
                       "params_are_described", "no description: rate"),
    "open params": (SOUND, "class SoundParams(DistillationParams):", "class SoundParams(DistillationParams, extra='allow'):",
                    "params_are_described", 'extra="forbid"'),
    "effort of no parameter": (SOUND, "    continues = True", "    continues = True\n    effort = ('iterations', 'epochs')",
                               "effort_is_numbers", "effort names no parameter: 'epochs'"),
    "effort in words": (SOUND, "    continues = True", "    continues = True\n    effort = ('iterations', 'selection')",
                        "effort_is_numbers", "names 'selection', which is 'last': no number"),
    "effort of letters": (SOUND, "    continues = True", "    continues = True\n    effort = 'rate'",
                          "effort_is_numbers", "effort names no parameter: 'r'"),
    "required param": (SOUND, 'Field(default=0.1, description', "Field(description", "defaults_are_valid", "rate"),
    "impure artifacts": (SOUND, "    def unsupported", """    def artifacts(self, cell):
        import time
        from ddbench import ArtifactSpec
        seed = {"t": time.monotonic_ns()}
        return {"features": ArtifactSpec(kind="features", data=cell.data, arch=cell.arch, seed=seed)}

    def unsupported""", "declarations_are_pure", "asked twice"),
    "opens more than there is": (SOUND, "    def unsupported", """    def artifacts(self, cell):
        from ddbench import ArtifactSpec
        return {"features": ArtifactSpec(kind="features", data=cell.data, arch=cell.arch, params={"epochs": 1})}

    def opens(self, name, cell, data):
        return 1.5

    def unsupported""", "charges_are_shares", "opens('features', …) gives 1.5"),
    "cheaper than it said": (SOUND, "\n    def unsupported", """
    def stored_bytes(self, n, data):
        return n * data.image_bytes

    def unsupported""", "bytes_are_foreseen", "foreseen are 640 bytes, the set takes 2560"),
    "fewer pixels than it said": (SOUND, "\n    def unsupported", """
    def stored_bytes(self, n, data):
        return 4 * n * data.image_bytes

    def stored_pixels(self, n, data):
        return n

    def unsupported""", "bytes_are_foreseen", "foreseen are 10 float32 pixels"),
    "ordered by class": (ORDERED, "sorted(places)", "places", "recipes_can_be_followed",
                         "batch 0 of 2 images holds class 0 alone", ("batch=ctx.dataset.classes", "batch=2")),
    "one state for all networks": (ORDERED, 'summary="for tests"', 'summary="for tests", axes=frozenset({"budget", "seed"})',
                                   "recipes_can_be_followed", "take 'arch' among the axes"),
    "a teacher": (SOUND, FINALISE, FINALISE.replace("preprocess)", "preprocess, __import__('ddbench').Recipe(teacher='t'))"),
                  "recipes_can_be_followed", "no student follows its recipe: failed: the set's recipe asks for a teacher"),
    "a rate that diverges": (SOUND, FINALISE, FINALISE.replace("preprocess)", "preprocess, __import__('ddbench').Recipe(lr=1e30))"),
                             "recipes_can_be_followed", "no student follows its recipe: nan: "),
    "centred labels with cross entropy": (LENDER, 'self.labels, "hard"', "__import__('torch').eye(10)[self.labels] - 0.1, 'centred'",
                                          "recipes_can_be_followed", "labels are centred, so no probabilities: loss 'ce'"),
    "centred labels undeclared": (LENDER, 'self.labels, "hard", ctx.train.preprocess, Recipe()',
                                  "__import__('torch').eye(10)[self.labels] - 0.1, 'centred', ctx.train.preprocess, Recipe(loss='mse')",
                                  "recipes_can_be_followed", "but Params.centred_labels is False"),
    "a norm of no network": (SOUND, FINALISE, FINALISE.replace("preprocess)", "preprocess, __import__('ddbench').Recipe(norm='xy'))"),
                             "sets_are_accepted", "asks for students with norm 'xy': convnet2 has no norm 'xy'"),
    "a recipe that contradicts itself": (ORDERED, 'order="fixed"', 'order="fixed", warmup=2', "sets_are_accepted",
                                         "they go with no warm-up"),
    "rates below 0": (ORDERED, f"lrs={ordered.RATES}", "lrs=(0.1, -0.1)", "sets_are_accepted", "not all finite and above 0"),
    "an initial state of another network": (ORDERED, "for one in net.parameters()])", "for one in net.parameters()])[1:]",
                                            "sets_are_accepted", "parameters of torch.float32"),
    "an initial state of another norm": (ORDERED, "norm=self.params.norm", 'norm="nn"', "sets_are_accepted",
                                         "convnet2-w32-nn has ["),
    "no initial state": (ORDERED, ", initial=self.initial", "", "sets_are_accepted", "says initial=True, but the set holds none"),
    "an initial state for nothing": (ORDERED, "initial=True", "initial=False", "sets_are_accepted", "Params.own_student is True"),
    "an initial state undeclared": (ORDERED, "return True", "return False", "sets_are_accepted",
                                    "says initial=True, but Params.own_student is False"),
    "a broken initial state": (ORDERED, "initial=self.initial", "initial=self.initial / 0", "sets_are_accepted",
                               "its initial state is not finite"),
    "a look at val": (SOUND, UPDATE, f"{UPDATE} + ctx.val.images().mean()", "val_decides_nothing", "depends on val's images"),
    "private import": (SOUND, "        import torch\n        noise", "        import torch\n        import ddbench.data.space.split\n        noise",
                       "imports_only_public_names", "imports ddbench.data.space.split"),
    "another plugin": (SOUND, "\nfrom pydantic", "\nfrom ddbench_plugins.dm.params import DMParams\nfrom pydantic",
                       "imports_only_public_names", "ddbench_plugins.dm.params"),
    "NaN": (SOUND, FINALISE, FINALISE.replace("self.images", "self.images * float('nan')"), "sets_are_accepted", "nan: "),
    "NaN loss": (SOUND, "self.images.norm().item()", "float('nan')", "sets_are_accepted", "norm is nan at step 1"),
    "too many images": (SOUND, FINALISE, FINALISE.replace("self.images, self.labels", "*(x.repeat_interleave(2, 0) for x in (self.images, self.labels))"),
                        "sets_are_accepted", "the budget allows 10"),
    "sys.exit": (SOUND, UPDATE, "raise SystemExit(3)", "sets_are_accepted", "called sys.exit(3)"),
    "wrong space": (SOUND, "ctx.train.preprocess", "type(ctx.train.preprocess)(id='raw')", "sets_are_accepted", "declares raw"),
    "gradient left": (SOUND, FINALISE, FINALISE.replace("return ", "s = ") + "\n        s.images.requires_grad_()\n        return s",
                      "sets_are_accepted", "require a gradient"),
    "wrong counts": (SELECTOR, "ctx.train.of_class(c)[:n]", "ctx.train.of_class(c % 9)[:n] if c < 9 else ctx.train.of_class(0)[n:2 * n]",
                     "class_counts_fit_the_budget", "the budget says"),
    "images of its own": (SOUND, "axes=", "labels_only=True, axes=", "labels_alone_are_its_own", "the images are not those of random"),
    "no 0 steps": (SOUND, 'Field(default=3, description="outer steps")', 'Field(default=3, ge=1, description="outer steps")',
                   "no_steps_make_the_initialisation", "params refuse iterations=0"),
    "wrong counts, distilled": (SOUND, "of_class(c)[:n]", "of_class(0)[n * c:n * c + n]", "class_counts_fit_the_budget", "the budget says"),
    "lost in the file": (SOUND, FINALISE, "from dataclasses import replace\n        s = " + FINALISE.removeprefix("return ")
                         + "\n        return replace(s, images=s.images.transpose(2, 3), aux={1: s.labels})", "sets_survive_the_file", "aux"),
    "not deterministic": (SOUND, DRAW, "torch.randn(self.images.shape, generator=torch.Generator().manual_seed(id(ctx) + __import__('time').monotonic_ns()))",
                          "runs_are_deterministic", "two runs differ: images"),
    "reads global state": (SOUND, "noise = " + DRAW, "state = torch.get_rng_state()\n        noise = torch.randn(self.images.shape)\n        torch.set_rng_state(state)",
                           "runs_are_deterministic", "two runs differ"),
    "same repetitions": (SELECTOR, 'axes=frozenset({"budget"})', 'axes=frozenset({"budget", "seed"})', "repetitions_differ", "same set"),
    "depends on seed": (SOUND, 'frozenset({"budget", "seed"})', 'frozenset({"budget"})', "axes_are_honest", "leave out 'seed'"),
    "depends on budget": (SOUND, 'frozenset({"budget", "seed"})', 'frozenset({"seed"})', "axes_are_honest", "leave out 'budget'"),
    "depends on arch": (SOUND, DRAW, DRAW + " * sum(p.numel() for p in ctx.build_model(seed=0).parameters())",
                        "axes_are_honest", "leave out 'arch'"),
    "global torch": (SOUND, DRAW, "torch.randn(self.images.shape)", "global_randomness_is_untouched", "step 1 uses the global generator of torch"),
    "global numpy": (SOUND, UPDATE, UPDATE + "\n        __import__('numpy').random.rand()", "global_randomness_is_untouched", "numpy"),
    "global random": (SOUND, FINALISE, "__import__('random').random()\n        " + FINALISE, "global_randomness_is_untouched",
                      "finalise uses the global generator of random"),
    "manual_seed": (SOUND, "chosen =", "torch.manual_seed(0)\n        chosen =", "global_randomness_is_untouched", "prepare"),
    "default dtype": (SOUND, UPDATE, UPDATE + "\n        torch.set_default_dtype(torch.float64)", "settings_are_untouched", "dtype"),
    "environment": (SOUND, UPDATE, UPDATE + "\n        import os; os.environ['OMP_NUM_THREADS'] = '3'",
                    "settings_are_untouched", "os.environ (OMP_NUM_THREADS)"),
    "precision": (SOUND, UPDATE, UPDATE + "\n        torch.set_float32_matmul_precision('medium')",
                  "settings_are_untouched", "precision of matrix products"),
    "grad mode": (SOUND, UPDATE, UPDATE + "\n        torch.set_grad_enabled(False)", "settings_are_untouched", "grad"),
    "leaves a process": (SOUND, "chosen =", "import multiprocessing, time\n        multiprocessing.Process(target=time.sleep, args=(600,), name='worker', daemon=True).start()\n        chosen =",
                         "processes_are_ended", "still running after finalise: worker"),
    "writes into train": (SOUND, UPDATE, UPDATE + "\n        ctx.train.images().mul_(0.5)", "shared_tensors_are_untouched",
                          "step 1 writes into ctx.train.images()"),
    "writes into labels": (SOUND, UPDATE, UPDATE + "\n        ctx.val.labels.zero_()", "shared_tensors_are_untouched", "ctx.val.labels"),
    "undeclared artifact": (SOUND, UPDATE, UPDATE + "\n        ctx.artifact('experts')", "artifacts_are_declared", "not declared"),
    "undeclared, caught": (SOUND, UPDATE, UPDATE + "\n        try:\n            ctx.artifact('experts')\n        except Exception:\n            pass",
                           "artifacts_are_declared", "asks for experts"),
    "one ipc for all": (SELECTOR, "enumerate(ctx.per_class)", "enumerate([ctx.ipc] * 10)", "classes_may_be_short",
                        "no single ipc: classes get between 2 and 3 images"),
    "as few as the smallest": (SELECTOR, "[:n]", "[:min(ctx.per_class)]", "classes_may_be_short",
                               "classes have [2, 2, 2, 2, 2, 2, 2, 2, 2, 2] images, the budget says [2, 3, 2"),
    "another class instead": (SOUND, "self.labels = ctx.train.labels[chosen]", "self.labels = (ctx.train.labels[chosen] + 1) % 10",
                              "classes_may_be_short", "the budget says [2, 3, 2, 3, 3, 3, 3, 3, 2, 3]"),
    "looks away from its start": (SOUND, "axes=", "takes_initial=True, axes=", "another_set_is_a_start",
                                  "makes the same set without ctx.initial"),
    "changes its start": (STARTED, "labels.clone()", "labels.zero_()", "another_set_is_a_start", "writes into ctx.initial: labels"),
    "starts by chance": (STARTED, "labels.clone()", "labels[torch.randperm(20)]", "another_set_is_a_start", "started twice from one set"),
    "impure finalise": (SOUND, FINALISE, "self.images = self.images + 1\n        " + FINALISE, "finalise_is_pure", "twice"),
    "finalise draws": (SOUND, FINALISE, "__import__('torch').rand(1, generator=ctx.generator)\n        " + FINALISE,
                       "finalise_is_pure", "draws from ctx.generator"),
    "finalise lends": (LENDER, "self.images = self.images + self", "self.images += self", "finalise_is_pure", "changes later"),
    "forgets state": (SOUND, STATE, '{"images": self.images, "total": self.total * 0}', "interruption_changes_nothing",
                      "interrupted and resumed, the set is another: images differs"),
    "forgets a counter": (SOUND, UPDATE, UPDATE + "\n        self.k = getattr(self, 'k', 0) + 1\n        noise = noise * self.k\n        self.total = self.total + noise",
                          "interruption_changes_nothing", "another"),
    "forgets to stop": (SOUND, "    def finalise", """    seen = 0

    def done(self, ctx):
        self.seen += 1
        return self.seen > 3

    def finalise""", "interruption_changes_nothing", "`done` forgets"),
    "a schedule over all steps": (SOUND, UPDATE, UPDATE + " / self.params.iterations", "longer_runs_continue", "continued from a shorter run"),
    "odd state": (SOUND, STATE, STATE[:-1] + ', "seen": {1, 2}}', "state_is_plain", "state.seen is of type set"),
    "odd key": (SOUND, STATE, STATE[:-1] + ', "by_class": {0.5: 1}}', "state_is_plain", "has the key 0.5"),
}  # fmt: skip


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("contract-kit")


def subject(folder: Path, source: str, **fields) -> Subject:
    file = folder / "broken.py"
    file.write_text(source.replace("MODULE", "broken"))
    return Subject.find("sound", plugin=file, **fields)


def outcome(bench: Bench, name: str):
    return run_check(next(check for check in CHECKS if check.__name__ == name), bench)


@pytest.mark.parametrize(
    "source",
    [SOUND, SELECTOR, LENDER, STARTED, ORDERED, ADAM],
    ids=["distiller", "selector", "lender", "started", "ordered", "optimiser"],
)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_sound_plugin_passes(check, source, tmp_path, home):
    assert run_check(check, Bench(subject(tmp_path, source), home)).problem is None


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_fails_its_check(case, tmp_path, home):
    source, old, new, check, message, *more = BROKEN[case]
    for before, after in [(old, new), *more]:
        assert before in source
        source = source.replace(before, after)
    found = outcome(Bench(subject(tmp_path, source), home), check)
    assert message in (found.problem or "passed")


def preset_plugin(fake_distribution, presets: str) -> Subject:
    files = {
        "__init__.py": SOUND.replace("MODULE", "ddbench_sound.method").replace(
            "axes=", 'presets="presets.yaml", axes='
        ),
        "method.py": "from ddbench_sound import Sound, SoundParams",
        "presets.yaml": presets,
    }
    fake_distribution("ddbench-sound", files)
    return Subject.find("sound")


@pytest.mark.parametrize(
    ("presets", "message"),
    [
        ("- {for: {profile: smoke}, params: {rat: 1}, source: paper}", "rat: Extra inputs"),
        ("- {for: {profile: smoke}, params: {rate: x}, source: paper}", "rate: "),
        ("- {for: {profile: smoke}, params: {rate: 1}, source: ' '}", "source is empty"),
        ("- {for: {profile: smok}, params: {rate: 1}, source: paper}", "profile 'smok' is none of"),
        ("- {for: {dataset: cifar-10}, params: {rate: 1}, source: paper}", "data set 'cifar-10' is not registered"),
        ("- {for: {ipc: 1, fraction: 0.1}, params: {rate: 1}, source: paper}", "an ipc and a fraction"),
        ("- {for: {profile: smoke}, params: {rate: 1}}", "source"),
        ("][", "presets.yaml"),
    ],
)
def test_a_wrong_preset_fails(presets, message, fake_distribution, home):
    found = outcome(Bench(preset_plugin(fake_distribution, presets), home), "presets_are_valid")
    assert message in (found.problem or "")


def test_sound_presets_pass(fake_distribution, home):
    text = "- {for: {dataset: digits, ipc: 1, profile: smoke}, params: {rate: 1}, source: table 3}"
    bench = Bench(preset_plugin(fake_distribution, text), home)
    assert outcome(bench, "presets_are_valid").problem is None
    assert outcome(bench, "params_import_no_torch").problem is None


def test_a_method_that_cannot_run_on_digits_says_why(tmp_path, home):
    source = SOUND.replace("return too_few_images(cell, data)", "return 'needs colour'")
    assert "needs colour" in (outcome(Bench(subject(tmp_path, source), home), "sets_are_accepted").problem or "")


def test_artifacts_must_stay_as_they_are(tmp_path, home):
    source = SELECTOR.replace('params="ddbench:Params"', 'params="ddbench.blocks.params:FeatureSelectorParams"')
    source = source.replace(
        "        import torch", "        import torch\n        (ctx.artifact('features') / 'mine').touch()"
    )
    bench = Bench(subject(tmp_path, source, fast={"epochs": 1}), tmp_path / "home")
    assert "writes into the shared artifact 'features'" in (outcome(bench, "artifacts_are_declared").problem or "")


def test_a_context_that_leads_to_test_images_fails(tmp_path, home, monkeypatch):
    def leak(ctx):
        from ddbench.data.space.split import open_test

        return open_test(ctx.dataset_spec, device="cpu")

    bench = Bench(subject(tmp_path, SOUND), home)
    with bench.home():
        spec = bench.place().spec
    monkeypatch.setattr(Context, "dataset_spec", spec.data, raising=False)
    monkeypatch.setattr(Context, "everything", property(leak), raising=False)
    assert "ctx.everything is a split" in (outcome(bench, "no_test_split_is_in_reach").problem or "")


def test_every_check_can_fail():
    covered = {check for _, _, _, check, *_ in BROKEN.values()} | {"presets_are_valid", "no_test_split_is_in_reach"}
    assert covered == {check.__name__ for check in CHECKS}


def test_the_home_of_the_user_is_left_alone(tmp_path, home, fresh_home):
    assert outcome(Bench(subject(tmp_path, SOUND), home), "sets_are_accepted").problem is None
    assert not fresh_home.exists()


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean herding"):
        Subject.find("herdin")


def test_a_plugin_that_did_not_load_is_named(fake_distribution):
    fake_distribution("ddbench-peek", "import nowhere_to_be_found", entry="peek")
    with pytest.warns(UserWarning, match="peek"), pytest.raises(PluginError, match="nowhere_to_be_found"):
        Subject.find("peek")


CONTRACT = """
import subprocess
import sys
from pathlib import Path
from ddbench.testing import MethodContract

class TestSound(MethodContract):
    name = "sound"
    plugin = Path("broken.py")
    expected_failures = {expected}
"""


@pytest.mark.parametrize(
    ("expected", "counts"),
    [
        ({}, {"failed": 1}),
        ({"finalise_is_pure": "known"}, {"xfailed": 1}),
        ({"finalise_is_pure": "known", "state_is_plain": "not so"}, {"xfailed": 1, "failed": 1}),
    ],
    ids=["none", "right", "stale"],
)
def test_expected_failures_are_strict(expected, counts, pytester):
    subject(pytester.path, SOUND.replace(FINALISE, "self.images = self.images + 1\n        " + FINALISE))
    pytester.makepyfile(CONTRACT.replace("{expected}", repr(expected)))
    result = pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "-p", "no:xdist", "-k", "finalise or state_is_plain"
    )
    outcomes = result.parseoutcomes()
    assert {name: n for name, n in outcomes.items() if name in ("failed", "xfailed")} == counts


def test_a_misspelt_expected_failure_is_an_error():
    class TestTypo(MethodContract):
        name = "dm"
        expected_failures = {"finalise_is_poor": "…"}

    metafunc = type("Metafunc", (), {"fixturenames": ["check"]})()
    with pytest.raises(ValueError, match="no check is called 'finalise_is_poor'"):
        TestTypo().pytest_generate_tests(metafunc)


# --------------------------------------------------------------------------------------------------------- fixtures


def test_tiny_digits_is_a_real_context(tiny_digits):
    ctx = tiny_digits(ipc=2, r=1)
    assert len(ctx.train) == 100
    assert ctx.per_class == (2,) * 10
    assert ctx.train.images().shape[1:] == (1, 8, 8)
    assert ctx.seed("init") != tiny_digits(ipc=2, r=0).seed("init")


def test_ddbench_home_is_empty_and_in_use(ddbench_home, tiny_digits):
    assert not ddbench_home.exists()
    tiny_digits()
    assert ddbench_home.is_dir()


def test_a_fake_distribution_is_installed_for_this_process_and_its_children(fake_distribution):
    fake_distribution("ddbench-peek", SELECTOR.replace("MODULE", "ddbench_peek"), entry="peek", version="0.3")
    assert Subject.find("sound").registries.methods.origin("sound").version == "0.3"
    code = "from importlib.metadata import version; import ddbench_peek; print(version('ddbench-peek'))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout == "0.3\n"
