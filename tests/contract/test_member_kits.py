"""The contracts of data sets, architectures, protocols and artifact kinds: a sound plugin passes, and each law has a breaker."""

from __future__ import annotations

import pytest

from ddbench.core.plugin.loader import load
from ddbench.testing import run_check
from ddbench.testing.contract import bench_of

DATASET = """
from ddbench import DatasetRecord, RawDataset, hookimpl

def read(folder):
    import numpy as np
    rng = np.random.default_rng(0)
    def part(n):
        return rng.integers(0, 256, (n, 1, 8, 8), dtype=np.uint8), np.arange(n) % 3
    train, train_labels = part(60)
    test, test_labels = part(30)
    return RawDataset(train, train_labels, ("a", "b", "c"), test, test_labels)

@hookimpl
def ddbench_register_datasets(registry):
    registry.add(DatasetRecord("member", "MODULE:read", "noise", embedded=True))
"""

ARCHITECTURE = """
from ddbench import ArchInfo, hookimpl

def build(name, *, channels, classes, size):
    from torch import nn

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(channels * size * size, name.width)
            self.head = nn.Linear(name.width, classes)

        def embed(self, x):
            return self.hidden(x.flatten(1)).tanh()

        def forward(self, x):
            return self.head(self.embed(x))

    return Linear()

@hookimpl
def ddbench_register_architectures(registry):
    registry.add(ArchInfo("member", ("member",), "MODULE:build", "one hidden layer", norms=("nn",)))
"""

PROTOCOL = """
from ddbench import EvalProtocol, ProtocolInfo, ProtocolParams, hookimpl

class MemberParams(ProtocolParams):
    pass

class Member(EvalProtocol):
    def fit(self, condensed, make_model, seed, artifacts):
        import torch
        from torch.nn import functional
        images = condensed.images if condensed.images is not None else artifacts.train.images(condensed.indices)
        labels = condensed.labels if condensed.labels.ndim == 1 else condensed.labels.argmax(1)
        model = make_model(seed).train()
        optimiser = torch.optim.SGD(model.parameters(), lr=artifacts.lr)
        start = 0
        if artifacts.resume() is not None:
            model.load_state_dict(artifacts.resume()["model"])
            start = artifacts.resume()["done"]
        for done in range(start, artifacts.params.updates):
            optimiser.zero_grad()
            functional.cross_entropy(model(images), labels).backward()
            optimiser.step()
            artifacts.tick(done + 1, artifacts.params.updates, lambda: {"model": model.state_dict(), "done": done + 1})
        model.eval()
        return lambda x: model(x).detach()

@hookimpl
def ddbench_register_protocols(registry):
    registry.add(ProtocolInfo("member", 1, "MODULE:Member", "MODULE:MemberParams", "four updates", {"updates": 4}))
"""

ARTIFACT = """
from ddbench import ArtifactKind, Params, hookimpl
from pydantic import Field

class MemberParams(Params):
    times: int = Field(default=3, description="draws")

def build(ctx, folder, params):
    import numpy as np, torch
    for i in range(params.times):
        draw = torch.rand(4, generator=torch.Generator().manual_seed(ctx.private_seed(str(i))))
        np.save(folder / f"{i}.npy", draw.numpy())
        ctx.progress(i + 1, params.times)

@hookimpl
def ddbench_register_artifacts(registry):
    registry.add(ArtifactKind("member", 1, "MODULE:MemberParams", "MODULE:build", "a few draws"))
"""

SOUND = {"data set": DATASET, "architecture": ARCHITECTURE, "protocol": PROTOCOL, "artifact kind": ARTIFACT}
RETURN = "return RawDataset(train, train_labels, "
TANH = "return self.hidden(x.flatten(1)).tanh()"
HEAD = "return self.head(self.embed(x))"

BROKEN = {
    "data set": [
        ('"noise"', '" "', "summary_is_one_line", "summary is empty"),
        ("\nfrom ddbench", "\nimport torch\nfrom ddbench", "registering_imports_no_torch", "member.py:2"),
        ("import numpy as np", "import numpy as np, ddbench.data.readers.raw", "imports_only_public_names", "ddbench.data.readers.raw"),
        (RETURN, RETURN.replace("train,", "train / 255,"), "reader_returns_what_it_promises", "train_images is float64"),
        (RETURN, RETURN.replace("train_labels", "train_labels + 1"), "reader_returns_what_it_promises", "must be in 0..2"),
        ('("a", "b", "c")', '"abc"', "reader_returns_what_it_promises", "class_names is 'abc', not a tuple of texts"),
        (", test, test_labels)", ", test, test_labels, notes='odd')", "reader_returns_what_it_promises", "notes is 'odd'"),
        ("return RawDataset(train, ", "return tuple, (train, ", "reader_returns_what_it_promises", "returns a tuple, not"),
        ("embedded=True", "embedded=True, mean=(.5, .5, .5), std=(.2, .2, .2)", "record_is_complete", "have 1 channels"),
        (", embedded=True", "", "record_is_complete", "nobody can get it"),
        ("default_rng(0)", "default_rng()", "reading_is_deterministic", "the train images differ"),
        ("(0, 256,", "(0, 2,", "levels_fit_the_pixels", "cast to uint8?"),
        (", test, test_labels)", ", test, test_labels, levels=16)", "levels_fit_the_pixels", "the largest pixel is 255"),
        ("% 3", "% 2", "every_class_has_images", "class 2 (c) has no image"),
        (", test, test_labels)", ", train[:30], test_labels)", "parts_are_apart", "30 of 30 test images are in train"),
    ],
    "architecture": [
        ('norms=("nn",)', 'norms=("nn",), variants=("w16",)', "names_are_understood", "suffix '-w8' is not understood"),
        ("name.width, classes", "name.width, 10", "logits_have_a_column_for_each_class", "[6, 10], not"),
        ("channels * size * size", "3 * size * size", "logits_have_a_column_for_each_class", "cannot be multiplied"),
        (HEAD, "return self.head(self.embed(x).sin())", "embeddings_feed_the_last_layer", "makes its logits"),
        ("def embed", "def features", "logits_have_a_column_for_each_class", "returns a Linear without a method `embed`"),
        ("return Linear()", "return None", "logits_have_a_column_for_each_class", "returns a NoneType, no torch.nn.Module"),
        ("self.head = nn.Linear(name.width, classes)",
         "self.head = nn.Linear(name.width, classes)\n            import numpy as np\n            self.head.weight.data[0, 0] = np.random.rand()",
         "the_seed_decides_the_parameters", "draw from torch alone"),
        ("self.head = nn.Linear(name.width, classes)",
         "self.head = nn.Linear(name.width, classes)\n            [p.data.fill_(.1) for p in self.parameters()]",
         "the_seed_decides_the_parameters", "all seeds give the same"),
        (TANH, TANH + " + __import__('torch').rand(1)", "global_randomness_is_untouched", "uses the global generator of torch"),
        (TANH, "h = self.hidden(x.flatten(1)).tanh()\n            return h - h.mean(0)", "predictions_stand_alone", "beside it"),
        (TANH, "return self.hidden(x.flatten(1)).tanh().detach()", "gradients_flow", "does not take part"),
        ("name.width", "8", "width_counts", "member-w16 has"),
    ],
    "protocol": [
        ('"MODULE:Member",', '"MODULE:MemberParams",', "record_is_complete", "not a subclass of ddbench.EvalProtocol"),
        ('"MODULE:Member",', '"MODULE:Gone",', "record_is_complete", "has no 'Gone'"),
        ("MemberParams(ProtocolParams)", "MemberParams(__import__('ddbench').Params)", "record_is_complete", "it lacks updates, lr"),
        ("    pass", "    depth: int = 3", "params_are_described", "no description: depth"),
        ('{"updates": 4}', '{"lr": (.1, .01)}', "params_follow_from_the_place", "chooses_lr is False"),
        ('{"updates": 4}', '{"steps": 4}', "params_follow_from_the_place", "steps"),
        ("    pass", "    def unsupported(self, evaluation, data):\n        return 'odd' if evaluation.spec.e else None",
         "declarations_are_pure", "depends on the student's seed"),
        ("    pass", "    def artifacts(self, evaluation):\n        return {'x': 5}", "declarations_are_pure", "no ArtifactSpec"),
        (" if condensed.images is not None else artifacts.train.images(condensed.indices)", "", "all_forms_of_sets_are_taken", "NoneType"),
        ("return lambda x: model(x).detach()", "return model.state_dict()", "all_forms_of_sets_are_taken",
         "`fit` of protocol member@1 returns a OrderedDict"),
        ("model(x).detach()", "model(x).detach() * float('nan')", "all_forms_of_sets_are_taken", "a real set: the predictor of"),
        ("model(x).detach()", "model(x).detach()[:, 1:]", "all_forms_of_sets_are_taken", "gives [16, 9], not logits [16, 10]"),
        ("return lambda x: model(x).detach()",
         "return lambda x: model(x).detach() / (0.0 if condensed.label_space == 'logits' else 1.0)",
         "all_forms_of_sets_are_taken", "a soft set: the predictor of"),
        ("model.eval()", "pass", "predictors_are_in_eval_mode", "in train mode: `fit` must call model.eval()"),
        ("return lambda x: model(x).detach()", "return lambda x: model(x - x.mean(0)).detach()", "predictors_are_in_eval_mode", "beside it"),
        ("make_model(seed).train()", "make_model(seed).train()\n        images = images + torch.randn(images.shape)",
         "students_are_deterministic", "derive every draw from `seed`"),
        ("make_model(seed)", "make_model(0)", "seeds_matter_where_a_student_is_trained", "all students are the same"),
        ('{"updates": 4}', '{"updates": 4}, trains_student=False', "seeds_matter_where_a_student_is_trained", "the seed matters"),
        ("labels = condensed", "labels = artifacts.train.labels[condensed.indices] if condensed.indices is not None else condensed",
         "the_sets_labels_decide", "use condensed.labels"),
        ("condensed.labels.argmax(1)", "condensed.labels.softmax(1)", "hard_labels_are_classes", "than their arg max"),
        ("make_model(seed).train()", "make_model(seed).train()\n        images += 1", "shared_state_is_untouched", "writes into the set"),
        ("make_model(seed).train()", "make_model(seed).train()\n        torch.rand(1)", "shared_state_is_untouched", "generator of torch"),
        ("return lambda x: model(x).detach()", "return lambda x: torch.manual_seed(0) and model(x).detach()",
         "shared_state_is_untouched", "generator of torch"),
        ("return lambda x: model(x).detach()", "return lambda x: model(x.add_(1)).detach()",
         "shared_state_is_untouched", "writes into the images to predict"),
        ("            artifacts.tick(", "            (lambda *a: None)(", "interruption_changes_nothing", "never calls artifacts.tick"),
        ('            start = artifacts.resume()["done"]', "            pass", "interruption_changes_nothing", "the student is another"),
    ],
    "artifact kind": [
        ('"MODULE:build"', '"MODULE:gone"', "record_is_complete", "no 'gone'"),
        ('default=3, description="draws"', 'default=3', "params_are_described", "no description: times"),
        ('default=3, description="draws"', 'description="draws"', "params_are_described", "give it with --set"),
        ("generator=torch.Generator().manual_seed(ctx.private_seed(str(i)))", "", "builds_are_the_same", "0.npy differs"),
        ("np.save(", "(lambda *a: None)(", "builds_are_the_same", "nothing was written"),
        ("np.save(folder", "np.save('stray', draw.numpy()); np.save(folder", "only_its_folder_is_written", "writes stray.npy"),
        ("    for i in range", "    ctx.train.images().add_(1)\n    for i in range", "shared_state_is_untouched", "ctx.train.images()"),
        ("    for i in range", "    torch.rand(1)\n    for i in range", "shared_state_is_untouched", "generator of torch"),
        ("    for i in range(params.times):", "    for i in range(len(list(folder.iterdir())), params.times):\n"
         "        np.save(folder / 'last.npy', np.array(len(list(folder.iterdir()))))",
         "interruption_changes_nothing", "built on"),
    ],
}  # fmt: skip


def failures(tmp_path, noun, source, only=None):
    path = tmp_path / "member.py"
    path.write_text(source.replace("MODULE", "member"))
    bench, checks = bench_of(noun, "member", load([path]), tmp_path / "home", plugin=path)
    outcomes = [run_check(check, bench) for check in checks if only in (None, check.__name__)]
    assert outcomes
    return {outcome.name: outcome.problem for outcome in outcomes if outcome.problem is not None}


@pytest.mark.parametrize("noun", SOUND)
def test_a_sound_member_passes_every_check(noun, tmp_path):
    assert failures(tmp_path, noun, SOUND[noun]) == {}


@pytest.mark.parametrize(
    ("noun", "old", "new", "check", "problem"),
    [pytest.param(noun, *case, id=f"{noun}: {case[2]} {i}") for noun, cases in BROKEN.items() for i, case in enumerate(cases)],
)  # fmt: skip
def test_each_mistake_fails_its_check(noun, old, new, check, problem, tmp_path):
    assert SOUND[noun].count(old) >= 1
    found = failures(tmp_path, noun, SOUND[noun].replace(old, new), only=check)
    assert problem in found[check]


@pytest.mark.parametrize("noun", SOUND)
def test_nearly_every_law_has_a_breaker(noun, tmp_path):
    path = tmp_path / "member.py"
    path.write_text(SOUND[noun].replace("MODULE", "member"))
    _, checks = bench_of(noun, "member", load([path]), tmp_path / "home", plugin=path)
    broken = {case[2] for cases in BROKEN.values() for case in cases}
    core_alone = {"files_are_left_alone", "splits_are_disjoint", "cells_can_use_it", "params_import_no_torch"}
    assert {check.__name__ for check in checks} - broken <= core_alone


@pytest.mark.parametrize(
    ("noun", "old", "new", "check"),
    [
        ("protocol", "return lambda x: model(x)", "return lambda x: torch.manual_seed(0) and model(x)", "shared_state_is_untouched"),
        ("architecture", TANH, TANH + " + __import__('torch').manual_seed(0).initial_seed()", "global_randomness_is_untouched"),
        ("artifact kind", "    for i in range", "    torch.manual_seed(0)\n    for i in range", "shared_state_is_untouched"),
    ],
)  # fmt: skip
def test_a_member_that_seeds_always_alike_is_found_though_earlier_checks_ran_it(noun, old, new, check, tmp_path):
    assert "generator of torch" in failures(tmp_path, noun, SOUND[noun].replace(old, new))[check]
