"""Suites: what is wrong is said before anything runs."""

from __future__ import annotations

import pytest
import yaml

from ddbench.cli import invoke
from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed, params_class
from ddbench.library.suites import suite_of
from ddbench.plan import suite as suites
from ddbench.plan.presets import choose
from ddbench.plan.rows import rows_of
from ddbench.results.stats.verdicts import smallest_n

GOOD = {"methods": ["random", {"name": "dm", "params": {"iterations": 3}, "label": "dm-3"}], "budget": {"ipc": [1, 10]}}


def parse(**changes):
    return suites.parse({**GOOD, **changes}, "here")


def test_names_and_entries_mean_the_same():
    assert parse().methods[0] == parse(methods=[{"name": "random"}]).methods[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": ["dm"]}, "unknown key 'method'; did you mean methods?"),
        ({"budget": {"ipc": [0]}}, "ipc must be at least 1, got 0"),
        ({"budget": {"ipc": [-5]}}, "ipc must be at least 1, got -5"),
        ({"budget": {"ipc": []}}, "give either ipc or fraction"),
        ({"budget": {"ipc": [1], "fraction": [0.1]}}, "give either ipc or fraction"),
        ({"budget": {"fraction": [1.5]}}, "a fraction lies in"),
        ({"budget": {"ipcs": [1]}}, "unknown key 'budget.ipcs'"),
        ({"methods": []}, "methods is an empty list"),
        ({"methods": ["dm", ""]}, "empty name"),
        ({"methods": "dm"}, "expected a list"),
        ({"methods": 10}, "expected a list, got 10"),
        ({"methods": {"dm": 1}}, "expected a list"),
        ({"methods": True}, "expected a list"),
        ({"datasets": 1.5}, "expected a list"),
        ({"archs": 3}, "expected a list"),
        ({"protocols": None}, "expected a list"),
        ({"protocols": []}, "protocols is an empty list"),
        ({"seeds": {"condense": 0}}, "greater than 0"),
        ({"seeds": {"condense": True}}, "seeds.condense: True is no number"),
        ({"seeds": {"random": False}}, "seeds.random: False is no number"),
        ({"master_seed": True}, "master_seed: True is no number"),
        ({"budget": {"ipc": [1, True]}}, "budget.ipc: True is no number"),
        ({"budget": {"fraction": [True]}}, "budget.fraction: True is no number"),
        ({"exclude": [{"ipc": True}]}, "exclude.0.ipc: True is no number"),
        ({"schema": 2}, "schema"),
        ({"exclude": [{}]}, "an exclusion names at least one"),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(UsageError, match="here: ") as error:
        parse(**changes)
    assert message in str(error.value)


def test_a_missing_key_is_named():
    with pytest.raises(UsageError, match="budget is missing"):
        suites.parse({"methods": ["dm"]}, "here")


@pytest.mark.parametrize("text", ["methods: [", "- just\n- a list\n", "just text", "\t: :"])
def test_a_file_that_is_no_suite_is_refused(tmp_path, text):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"s\.yaml"):
        suites.load(str(path))


def test_an_unknown_suite_names_the_known_ones():
    with pytest.raises(UsageError, match="demo"):
        suites.load("dmeo")


def test_budgets_are_listed_once_in_their_order():
    assert [b.label for b in parse(budget={"ipc": [10, 1, 10]}).budget.budgets()] == ["ipc 10", "ipc 1"]


def test_an_exclusion_needs_all_of_its_fields():
    rule = suites.Exclusion(method="mtt", ipc=50)
    assert rule.matches(method={"mtt", "its label"}, ipc=50, arch="x")
    assert not rule.matches(method={"dm"}, ipc=50)
    assert not rule.matches(method={"mtt"}, ipc=10)
    assert not rule.matches(method={"mtt"}, fraction=0.5)


CONFIGS = sorted((suites.Path(__file__).parents[3] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.stem[:5] != "tune-"], ids=lambda p: p.stem)
def test_every_suite_that_comes_along_is_valid(path):
    made = suites.parse(yaml.safe_load(path.read_text()), str(path))
    assert made.methods
    for row in rows_of(made, installed()):
        preset = choose(row.method, made.datasets[0].name, made.budget.budgets()[0], made.profile)
        params_class(row.method).model_validate({**preset.params, **row.overrides})


def test_the_suite_for_clusters_can_answer_what_it_asks():
    made = suites.parse(suites.load("cluster"), "cluster")
    rows = len(made.methods)
    assert made.seeds.condense >= smallest_n(rows * (rows - 1) // 2)
    assert len(made.datasets) > 1 and len(made.eval_archs) > 1


@pytest.mark.parametrize("more", [[], ["--seeds", "3"]], ids=["alone", "with --seeds"])
@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ("5", ", got 5: write `seeds: {condense: 5}`"), ("true", ", got True"), ("'5'", ", got '5': write `seeds: {condense: '5'}`"),
        ("[5]", "how many seeds, not which, got a list: write `seeds: {condense: 1}`"), ("1.5", ", got 1.5"), ("0", ", got 0"), ("''", ", got ''"),
    ],
)  # fmt: skip
def test_seeds_that_are_no_mapping_are_refused_on_the_command_line_with_what_was_meant(
    seeds, told, more, tmp_path, capsys, fresh_home
):
    (tmp_path / "s.yaml").write_text(f"schema: 1\nmethods: [dm]\nbudget: {{ipc: [1]}}\nseeds: {seeds}\n")
    assert invoke(["plan", "--suite", str(tmp_path / "s.yaml"), *more, "--out", str(tmp_path / "runs")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "s.yaml: seeds: " in line and line.endswith(told)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": {"ipc": [1.5]}}, "budget.ipc.0: Input should be a valid integer, got 1.5"),
        ({"profile": 3}, "profile: Input should be text, got 3"), ({"set": "dm"}, ", got 'dm'"),
        ({"exclude": {"method": "dm"}}, "exclude: Input should be a list, got a mapping: write `exclude: [{method: dm}]`"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_named(changes, message):
    with pytest.raises(UsageError) as error:
        parse(**changes)
    assert str(error.value).endswith(message)


DESCRIBED = {
    "methods": ["random", "el2n", {"name": "el2n", "label": "el2n (easy first)", "params": {"order": "easy_first"}},
                {"name": "mtt", "label": "mtt", "params": {"expert_seed": "per_rep"}},
                {"name": "dm", "label": "dm-3"}, {"name": "dm", "label": "dm-4"}],
    "datasets": ["digits", {"name": "fashionmnist", "view": {"pool": 2}}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "names", "found"),
    [
        ("methods", ["mtt", "random"], [DESCRIBED["methods"][3], "random"]),
        ("methods", ["MTT"], [DESCRIBED["methods"][3]]),
        ("methods", ["el2n"], ["el2n"]),
        ("methods", ["EL2N (easy first)"], [DESCRIBED["methods"][2]]),
        ("methods", ["dm"], DESCRIBED["methods"][4:]),
        ("methods", ["DM-4"], [DESCRIBED["methods"][5]]),
        ("methods", ["datm"], ["datm"]),
        ("datasets", ["FashionMNIST", "mnist"], [DESCRIBED["datasets"][1], "mnist"]),
        ("datasets", ["digits"], ["digits"]),
    ],
)
def test_what_a_command_names_stays_as_the_suite_describes_it(field, names, found):
    assert suites.picked(DESCRIBED[field], names) == found


def test_a_column_of_labels_is_no_name_of_a_data_set():
    entries = [{"name": "birds", "path": "hf:x", "label": "digits"}, {"name": "birds", "path": "hf:x", "label": "b"}]
    assert suites.picked(entries, ["digits"], ("name",)) == ["digits"]
    assert suites.picked(entries, ["birds"], ("name",)) == entries


@pytest.mark.parametrize("entries", [None, 10, "dm", {"dm": 1}, [3, None, {"label": "x"}]])
def test_names_are_taken_as_they_are_where_a_suite_describes_nothing(entries):
    assert suites.picked(entries, ["dm"]) == ["dm"]


def test_programs_may_give_entries_in_place_of_names():
    """As `ddbench.run(methods=[{...}])` documents."""
    view = {"name": "digits", "view": {"train_size": 300}}
    words = {"methods": ["random", {"name": "dm", "params": {"iterations": 5}}], "datasets": [view], "ipc": [1]}
    found = suite_of(words, installed())
    assert found.methods[1].params == {"iterations": 5}
    assert [data.name for data in found.datasets] == ["digits"] and found.datasets[0].view
