"""What a suite or a tuning file was meant to say: told where it says that otherwise, and accepted when it is written so."""

from __future__ import annotations

import inspect

import pytest
import yaml

import ddbench
from ddbench.cli.run import run
from ddbench.cli.tune import tune
from ddbench.core.errors import UsageError
from ddbench.core.names import folded
from ddbench.core.plugin.loader import active, installed, params_class
from ddbench.plan import suite as suites
from ddbench.plan import tuning, wordings
from ddbench.plan.mending import Mender

SHORT = {"schema": 1, "methods": ["dm"], "budget": {"ipc": [1]}}


def refused(content):
    with pytest.raises(UsageError) as error:
        suites.parse(content, "a test")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("seeds: 5", "seeds: {condense: 5}"), ("methods: dm", "methods: [dm]"), ("budget: 10", "budget: {ipc: [10]}"),
        ("budget: 0.1", "budget: {fraction: [0.1]}"), ("budget: [1, 10]", "budget: {ipc: [1, 10]}"),
        ("budget: {ipc: 10}", "budget: {ipc: [10]}"), ("exclude: {method: dm}", "exclude: [{method: dm}]"),
        ("archs: convnet3", "archs: [convnet3]"),
        ("ipc: [1]", "budget: {ipc: [1]}"), ("ipc: 1", "budget: {ipc: [1]}"), ("ipcs: [1]", "budget: {ipc: [1]}"),
        ("fraction: 0.1", "budget: {fraction: [0.1]}"), ("images_per_class: 1,10", "budget: {ipc: [1, 10]}"),
        ("eval_seeds: 3", "seeds: {evaluate: 3}"), ("random_seeds: 3", "seeds: {random: 3}"),
        ("eval-seeds: 3", "seeds: {evaluate: 3}"), ("repetitions: 3", "seeds: {condense: 3}"),
        ("{eval_seeds: 3, seeds: {condense: 2}}", "seeds: {condense: 2, evaluate: 3}"),
        ("seeds: [1, 2, 3]", "seeds: {condense: 3}"), ("seeds: {evaluate: [0, 1]}", "seeds: {evaluate: 2}"),
        ("seeds: {eval_seeds: 3}", "seeds: {evaluate: 3}"), ("seeds: [condense: 3]", "seeds: {condense: 3}"),
        ("budget: {ipc: 1, 10}", "budget: {ipc: [1, 10]}"), ("budget: 1,10", "budget: {ipc: [1, 10]}"),
        ("budget: [ipc: 1]", "budget: {ipc: [1]}"), ("budget: {fractions: 0.1}", "budget: {fraction: [0.1]}"),
        ("methods: {dm: {iterations: 3}}", "methods: [{name: dm, params: {iterations: 3}}]"),
        ("methods: {name: dm, iterations: 3}", "methods: [{name: dm, params: {iterations: 3}}]"),
        ("methods: {dm: {iterations: 3}, mtt: }", "methods: [{name: dm, params: {iterations: 3}}, {name: mtt}]"),
        ("methods: dm,mtt", "methods: [dm, mtt]"), ("method: dm", "methods: [dm]"), ("arch: mlp", "archs: [mlp]"),
        ("dataset: digits", "datasets: [digits]"), ("protocol: hard", "protocols: [hard]"),
        ("datasets: {digits: {pool: 2}}", "datasets: [{name: digits, view: {pool: 2}}]"),
        ("{pool: 2, datasets: [digits]}", "datasets: [{name: digits, view: {pool: 2}}]"),
        ("{resize: 64, datasets: [{name: my, path: x}]}", "datasets: [{name: my, path: x, resize: 64}]"),
        ("set: {dm.iterations: 3}", "set: {dm: {iterations: 3}}"), ("set: dm.iterations=3", "set: {dm: {iterations: 3}}"),
        ("set: {iterations: 3}", "set: {dm: {iterations: 3}}"),
        ("set: [dm.iterations=3, mtt.init=real]", "set: {dm: {iterations: 3}, mtt: {init: real}}"),
        ("set: {dm.iterations: 3, dm.lr_img: 2.0, mtt: {init: real}}",
         "set: {dm: {iterations: 3, lr_img: 2.0}, mtt: {init: real}}"),
        ("engine: bf16", "precision: bf16"),
    ],
)  # fmt: skip
def test_what_was_meant_is_said(given, advice):
    key = advice.partition(":")[0]
    content = {name: one for name, one in SHORT.items() if name != key} | yaml.safe_load(given)
    assert refused(content).endswith(f": write `{advice}`")
    suites.parse(SHORT | yaml.safe_load(advice), "a test")


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("methods: [{name: dm, iterations: 3}]", "`params: {iterations: 3}`"),
        ("methods: [mtt, {name: dm, iterations: 3, lr_img: 1.0, params: {augment: dsa}}]",
         "`params: {augment: dsa, iterations: 3, lr_img: 1.0}`"),
        ("methods: [mtt, dm: {iterations: 3}]", "`- {name: dm, params: {iterations: 3}}`"),
        ("methods: [dm: , mtt]", "`- {name: dm}`"), ("methods: [{method: dm}]", "`- {name: dm}`"),
        ("methods: [{name: datm, labels: soft}]", "`label: soft` or `params: {labels: soft}`"),
        ("methods: [{name: dm, pool: 3}]", "`params: {pool: 3}`"), ("methods: [{name: dm, score: x}]", "`params: {score: x}`"),
        ("methods: [{name: dm, pairs: 3}]", "`params: {pairs: 3}`"),
        ("methods: [{name: dm, ipc: 1}]", "`budget: {ipc: …}` outside of methods"),
        ("methods: [{name: dm, seeds: 1}]", "`seeds: …` outside of methods"),
        ("datasets: [{name: digits, pool: 2}]", "`view: {pool: 2}`"),
        ("datasets: [{name: digits, view: {pool: 2}, train_size: 9}]", "`view: {pool: 2, train_size: 9}`"),
        ("datasets: [mnist, digits: {pool: 2}]", "`- {name: digits, view: {pool: 2}}`"),
        ("exclude: [{method: dm, budget: {ipc: 10}}]", "`ipc: 10`"),
        ("seed: 3", "`master_seed: 3` or `seeds: {condense: 3}`"),
        ("ipc: many", "`budget: {ipc: …}`"), ("{eval_seeds: 3, seeds: 2}", "`seeds: {evaluate: …}`"),
        (f"methods: [dm: {{{', '.join(f'a_long_name_{i}: {i}' for i in range(9))}}}]", "`- {name: dm, params: …}`"),
    ],
)  # fmt: skip
def test_what_was_meant_in_an_entry_or_of_several_places_is_said(given, advice):
    assert refused(SHORT | yaml.safe_load(given)).endswith(f": write {advice}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"threads": 2}, "`--threads 2`; in Python the argument threads)"), ({"out": "x"}, "`--out x`;"),
        ({"dry-run": True}, "`--dry-run`)"), ({"resources": {"cpus": 4}}, "`--resources`;"),
        ({"engine": "fused"}, "`--engine fused`;"), ({"methods": [{"name": "dm", "jobs": 2}]}, "`--jobs 2`;"),
    ],
    ids=str,
)  # fmt: skip
def test_an_option_of_the_command_is_told_from_a_key(given, said):
    assert f": it is no key but an option of the command ({said}" in refused(SHORT | given)


def test_the_options_are_those_of_the_command_and_of_python():
    options = {word.removeprefix("--").replace("-", "_") for one in run.params for word in one.opts if word[:2] == "--"}
    keys = {*suites.Suite.model_fields, "ipc", "fraction", "eval_seeds", "random_seeds"}
    assert {*wordings.OPTIONS, *wordings.SCREEN} == options - keys - {"set", "help"}
    arguments = {*inspect.signature(ddbench.run).parameters} - {"suite"}
    assert set(wordings.OPTIONS) == arguments - keys - {"set"}
    tried = {word.removeprefix("--").replace("-", "_") for one in tune.params for word in one.opts}
    assert set(wordings.TUNING.screen) <= tried


def test_no_parameter_of_a_method_is_taken_for_a_word_of_suites():
    """`{name: dm, iterations: 3}` is told to write `params: {iterations: 3}`, for every parameter there is."""
    mender = Mender(suites.Suite, suites.LEVELS, wordings.SUITE)
    words = {*mender.outer(), *map(folded, (*wordings.OPTIONS, *wordings.SCREEN))}
    parameters = {name for info in installed().methods for name in params_class(info).model_fields}
    assert {name for name in parameters if folded(name) in words} == set()


@pytest.mark.parametrize(
    "key", ["methods", "datasets", "budget", "archs", "seeds", "set", "exclude", "view", "x", "plugin"]
)
@pytest.mark.parametrize(
    "value",
    [None, True, 3, "a,b", ".=", [], {}, [[]], [None, 3], [{}], [{"a": None}], {3: None}, {"a": {3: [{}]}}, [{3: 3}], (1, 2),
     {"ipc": {"ipc": 1}}, [{"name": None, "x": 1}], [{"name": "a", "view": 3, "pool": 1}], {"a.b": 1, "a": {}}, float("nan")],
    ids=str,
)  # fmt: skip
def test_whatever_stands_there_is_refused_in_one_line_or_accepted(key, value):
    for content in (SHORT | {key: value}, SHORT | {"methods": [{"name": "dm", key: value}]}):
        try:
            suites.parse(content, "a test")
        except UsageError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "content",
    [{"seeds": "many"}, {"budget": {"ipc": 1.5}}, {"methods": 10}, {"seeds": 10**5000}, {"frobnicate": 3}, {"name": "x"},
     {"set": {"iterations": 3}, "methods": ["dm", "mtt"]}, {"methods": [{"name": "dm", "frob": {"a": 1}}]}],
    ids=["seeds", "ipc", "methods", "digits", "key", "name", "set", "mapping"],
)  # fmt: skip
def test_nothing_is_advised_where_nothing_would_do(content):
    assert "write" not in refused(SHORT | content)


def test_a_key_that_only_misses_letters_is_asked_for():
    assert refused({"schema": 1, "method": ["dm"], "budget": {"ipc": [1]}}).endswith("did you mean methods?")
    assert refused(SHORT | {"methods": [{"name": "dm", "param": {"iterations": 3}}]}).endswith("did you mean params?")


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({"methods": [{"name": "dm", "iterations": 3}]}, "write `'params': {'iterations': 3}`"),
        ({"methods": {"dm": {"iterations": 3}}}, "write `{'name': 'dm', 'params': {'iterations': 3}}`"),
        ({"methods": [{"name": "dm", "ipc": 3}]}, "write `ipc=…` outside of methods"),
        ({"datasets": [{"name": "digits", "pool": 2}]}, "write `'view': {'pool': 2}`"),
        ({"seeds": [1, 2, 3]}, "write `seeds=3`"), ({"eval_seeds": [1, 2]}, "write `eval_seeds=2`"),
        ({"suite": SHORT}, "suite is a YAML file, or the name of one; what is in it is given as arguments, methods=['dm'], "
                           "ipc=[1], seeds=3"),
    ],
    ids=str,
)  # fmt: skip
def test_in_python_what_to_write_is_python(given, advice):
    with pytest.raises(UsageError) as error:
        ddbench.run(**{"methods": ["dm"], "ipc": 1} | given)
    assert str(error.value).startswith("ddbench.run: ") and str(error.value).endswith(advice)


TRIED = {"budget": {"ipc": [1]}, "configurations": [{"methods": ["dm"], "try": [{"lr_img": 1.0}]}],
         "datasets": [{"name": "digits", "view": {"train_size": 200}}]}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("ipc: [1]", "write `budget: {ipc: [1]}`"), ("arch: mlp", "write `archs: [mlp]`"),
        ("protocols: [hard]", "did you mean protocol?"), ("threads: 2", "an option of the command (`--threads 2`)"),
        ("configurations: [{methods: dm, try: [{}]}]", "write `methods: [dm]`"),
        ("configurations: [{methods: [dm], ipc: [1], try: [{}]}]", "write `budget: {ipc: [1]}`"),
        ("configurations: [{methods: [dm], try: {lr_img: 1.0}}]", "write `try: [{lr_img: 1.0}]`"),
        ("base: [{methods: [dm], iterations: 3}]", "write `params: {iterations: 3}`"),
        ("datasets: [{name: digits, train_size: 200}]", "write `view: {train_size: 200}`"),
    ],
)  # fmt: skip
def test_what_was_meant_in_a_tuning_file_is_said(given, advice):
    change = yaml.safe_load(given)
    content = {key: one for key, one in TRIED.items() if not (key == "budget" and "ipc" in change)}
    with pytest.raises(UsageError) as error:
        tuning.parse(content | change, "a test", active())
    assert str(error.value).endswith(advice)
