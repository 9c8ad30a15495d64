"""The ledger of a tuning file, from records that nobody ran."""

from __future__ import annotations

import pytest
import yaml

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import active
from ddbench.core.records import Seconds
from ddbench.core.specs import Budget
from ddbench.core.store.jsonl import write_records
from ddbench.plan import tuning
from ddbench.publish import leaderboard
from ddbench.publish.tuning import ledger_text, new_page, preset_entries
from ddbench.results.tries import seconds_of
from ddbench.results.tuning import edges, ledger_of
from tests.factories import change, key_of, keyed, pair

ONE = Budget(ipc=1)
FILE = {
    "datasets": [{"name": "digits", "view": {"train_size": 200}}], "archs": ["convnet2-w32"],
    "budget": {"ipc": [1, 10]},
    "base": [{"methods": ["dm"], "params": {"iterations": 100}}],
    "configurations": [
        {"methods": ["dm"], "try": [{"lr_img": 1.0}, {"lr_img": 3.0}, {"lr_img": 10.0}]},
        {"methods": ["dsa"], "try": [{"lr_img": 0.1}, {"lr_img": 0.3}, {"lr_img": 0.2}], "before": {"iterations": 10}},
    ],
}  # fmt: skip
SCORES = {
    ("dm", 1): [(50, 52), (60, 64), (61, 59)], ("dm", 10): [(70, 72), (71, 75), (80, 80)],
    ("dsa", 1): [(40, 44), (None, 90), (55, 55), (90, 90)],
    ("dsa", 10): [(70, 72), (73, 75), (60, 60), (90, 90)],
}  # fmt: skip


@pytest.fixture(scope="module")
def file():
    return tuning.parse(FILE, "tune.yaml", active())


def everything(method, ipc, number):
    return True


def trial(method, top1, r, *, ipc, params, condense_s=10.0, pool=None, view=200, **more):
    """The records of one configuration in one repetition."""
    bad = {"status": "nan", "reason": "loss is nan at step 17"} if top1 is None else {}
    condensation, student = pair(
        method, top1, r=r, ipc=ipc, params=params, label=f"{method} {sorted(params.items())}",
        data={"split": "tune", "view": [{"name": "train_size", "size": view, "seed": 0}], **more.pop("data", {})},
        cost={"condense_s": condense_s, "prepare_s": 0.0, "artifact_s": 0.0 if method == "random" else 60.0},
        artifacts={} if method == "random" else {"experts": ("experts", key_of(pool or method, r))}, evaluate_s=5.0,
        facts={"dataset": "digits [train_size 200]"}, **bad, **more,
    )  # fmt: skip
    condensation.metrics = {"c": 0.8, "c_sd": 0.1, "mine": 0.5} if method == "dm" else {}
    if top1 is not None:
        student.n_test, student.selection = 997, {"lr": 0.01 if r == -1 else 0.5}
    return [condensation, student]


def tried(file, keep=everything, *, shared=False):
    """The records of a whole run, or of a part."""
    found = []
    for ipc in (1, 10):
        for r, top1 in ((-1, 45.0), (-2, 47.0)):
            found += trial("random", top1, r, ipc=ipc, params={})
        for method in file.methods:
            for number, one in enumerate(file.of(method, Budget(ipc=ipc))):
                if not keep(method, ipc, number):
                    continue
                for r, top1 in zip((-1, -2), SCORES[method, ipc][number], strict=True):
                    cost = 10.0 if method == "dm" else 20.0
                    pool, params = "pool" if shared else None, dict(one.params)
                    found += trial(method, top1, r, ipc=ipc, params=params, condense_s=cost, pool=pool)
    return found


def table(text, heading):
    """The rows of the first table below a heading, as lists of cells."""
    lines = text[text.index(heading) :].split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]


def test_every_configuration_is_a_row_and_the_best_is_marked(file):
    text = ledger_text(file, tried(file), active())
    head, *rows = table(text, "### ipc 1")
    assert head == [
        "method",
        "configuration",
        "r −1",
        "r −2",
        "mean",
        "lr",
        "condense",
        "shared inputs",
        "students",
        "wall s",
    ]
    assert [row[:5] for row in rows] == [
        ["random", "", "45.0", "47.0", "46.0"],
        ["dm", "lr_img=1.0", "50.0", "52.0", "51.0"],
        ["dm", "**lr_img=3.0**", "60.0", "64.0", "**62.0**"],
        ["dm", "lr_img=10.0", "61.0", "59.0", "60.0"],
        ["dsa", "lr_img=0.1", "40.0", "44.0", "42.0"],
        ["dsa", "lr_img=0.3", "–", "90.0", "nan: loss is nan at step 17"],
        ["dsa", "**lr_img=0.2**", "55.0", "55.0", "**55.0**"],
        ["dsa", "preset before", "90.0", "90.0", "90.0"],
    ]
    assert rows[1][5:] == ["0.01", "20", "40", "10", "70"]  # two repetitions of 10 s, a third of 60 s, 5 s
    assert rows[7][5:] == ["0.01", "40", "120", "10", "170"]  # the preset before reads the same, and pays for itself
    assert table(text, "What the methods say")[:2] == [
        ["method", "configuration", "c", "mine"], ["dm", "lr_img=1.0", "0.80 ± 0.10", "0.5"],
    ]  # fmt: skip
    assert "997 training images that this view leaves out" in text
    assert "3 configurations of every method at every budget" in text
    assert "Incomplete" not in text


def prices(ledger, method, ipc):
    """What tuning a method at a budget takes, configuration by configuration, and what it is worth at a limit."""
    trials = ledger.tried(method, Budget(ipc=ipc))
    return [(t.as_try, t.seconds) for t in trials], ledger.whole(method, Budget(ipc=ipc))


def test_a_method_pays_for_what_it_reads_once_at_each_budget(file):
    """Two pools of 60 s; three configurations of 2 · 10 s and two students of 5 s."""
    ledger = ledger_of(file, tried(file), active())
    for ipc in (1, 10):
        (first, _), *_ = prices(ledger, "dm", ipc)[0]
        assert seconds_of([first]) == pytest.approx(120 + 30)
        assert ledger.whole("dm", Budget(ipc=ipc)) == pytest.approx(120 + 3 * 30)
        assert sum(t.seconds for t in ledger.tried("dm", Budget(ipc=ipc))) == pytest.approx(120 + 3 * 30)
        assert ledger.limits(Budget(ipc=ipc)) == [("dm", pytest.approx(210)), ("dsa", pytest.approx(270))]
    assert ledger.random(ONE).artifact_s == 0


@pytest.mark.parametrize(
    "kept",
    [
        lambda method, ipc, number: method == "dm", lambda method, ipc, number: ipc == 1,
        lambda method, ipc, number: method == "dm" or number < 3,  # without the preset before
    ],
    ids=["another method", "another budget", "a preset before"],
)  # fmt: skip
@pytest.mark.parametrize("shared", [False, True], ids=["own pools", "the same pools"])
def test_what_else_is_in_the_ledger_changes_no_price(file, kept, shared):
    whole, part = (ledger_of(file, tried(file, keep, shared=shared), active()) for keep in (everything, kept))
    for method, ipc in [("dm", 1), ("dm", 10), ("dsa", 1), ("dsa", 10)]:
        if kept(method, ipc, 0):
            assert prices(part, method, ipc) == prices(whole, method, ipc)


def test_best_of_k_and_equal_cost(file):
    text = ledger_text(file, tried(file), active())
    assert table(text, "### Best of k")[4] == ["dm", "ipc 1", "57.7", "61.3", "62.0"]
    assert table(text, "### Best of k")[6] == ["dm", "all", "66.2", "69.5", "71.0"]
    # Of 42, 55 and a failure: one is worth 48.5 where it has a result; of the pairs two hold 55, and one 42 alone.
    assert table(text, "### Best of k")[7] == ["dsa", "ipc 1", "48.5 (67 %)", "50.7", "55.0"]
    rows = table(text, "### At equal cost")
    # 210 s: what dm takes. The first of dsa takes 120 + 50 s, and 40 s are too few for a second one. 270 s: what dsa takes.
    assert rows[0] == ["ipc 1", "210 (dm)", "270 (dsa)"]
    assert rows[1] == ["dm", "**62.0**", "**62.0**"]
    assert rows[2] == ["dsa", "48.5 (67 %)", "55.0"]
    assert rows[3] == ["random", "46.0", "46.0"]


def test_what_students_read_is_paid_for_like_what_sets_read(file):
    """A teacher of 30 s that the protocol has, of all students at both budgets."""
    records = tried(file)
    for record in records:
        if record.kind == "evaluation":
            change(record, artifacts={"teacher": ["experts", key_of("teacher")]})
            record.cost.artifact_s = 30.0
    ledger = ledger_of(file, records, active())
    assert [ledger.whole("dm", Budget(ipc=ipc)) for ipc in (1, 10)] == pytest.approx([240, 240])
    assert ledger.random(ONE).artifact_s == pytest.approx(30)


def test_a_method_whose_inputs_alone_exceed_the_limit_has_no_result_and_no_rank(file):
    records = tried(file)
    for record in records:
        if record.kind == "condense" and record.document.cell.method == "dsa":
            record.cost.artifact_s = 150.0
    rows = table(ledger_text(file, records, active()), "### At equal cost")
    assert rows[0] == ["ipc 1", "210 (dm)", "450 (dsa)"]
    assert rows[2] == ["dsa", "–", "55.0"]


def test_cpu_seconds_of_gpu_runs_are_not_added_to_those_of_cpu_runs(file):
    """The rule of tables: with a run on a GPU among those on the CPU only wall seconds are of one kind."""

    def timer(on_gpu):
        records = tried(file)
        for number, record in enumerate(records):
            record.cost.cpu = Seconds(condense_s=1.0, evaluate_s=1.0, artifact_s=2.0)
            record.cost.device = Seconds(condense_s=0.5, evaluate_s=0.5, artifact_s=1.0) if on_gpu(number) else None
        return ledger_of(file, records, active()).timer

    assert timer(lambda number: False) == "cpu"
    assert timer(lambda number: True) == "device"
    assert timer(lambda number: number == 7) == "wall"
    assert timer(lambda number: number != 7) == "wall"


def test_a_budget_of_which_nothing_has_run_has_no_limit(file):
    text = ledger_text(file, tried(file, lambda method, ipc, number: ipc == 1), active())
    assert "| ipc 1" in text[text.index("### At equal cost") :]
    assert ledger_of(file, tried(file, lambda method, ipc, number: ipc == 1), active()).limits(Budget(ipc=10)) == []


def test_a_failure_is_below_all_scores(file):
    ledger = ledger_of(file, tried(file), active())
    failed = ledger.of("dsa", ONE)[1]
    assert failed.score is None
    assert ledger.best("dsa", ONE).configuration.own == {"lr_img": 0.2}


def test_choices_at_the_edge_extend_their_grids(file):
    found = edges(ledger_of(file, tried(file), active()), active())
    assert [(e.method, e.budget.ipc, e.parameter, e.value, e.end, e.add) for e in found] == [
        ("dm", 10, "lr_img", 10.0, "largest", 30.0),
        ("dsa", 10, "lr_img", 0.3, "largest", 0.4),
    ]
    assert "dm at ipc 10: lr_img 10 is the largest that was tried: add 30" in ledger_text(file, tried(file), active())


def test_an_incomplete_ledger_says_so_and_gives_no_presets(file):
    records = tried(file, keep=lambda method, ipc, number: (method, ipc, number) != ("dm", 10, 2))
    text = ledger_text(file, records, active())
    assert "**Incomplete**: 1 of 16 configurations" in text
    assert "dm at ipc 10: lr_img=10.0" in text
    ledger = ledger_of(file, records, active())
    with pytest.raises(UsageError, match="not all configurations have run at ipc 10"):
        preset_entries(ledger, "dm", "page.md")
    assert preset_entries(ledger, "dsa", "page.md")


def test_nothing_tried_is_a_ledger_too(file):
    text = ledger_text(file, [], active())
    assert "16 of 16" in text


def test_presets_are_entries_as_presets_yaml_has_them(file):
    text = preset_entries(ledger_of(file, tried(file), active()), "dm", "leaderboards/tuning/fm14.md")
    first, second = yaml.safe_load(text)
    assert first["for"] == {"dataset": "digits", "ipc": 1, "profile": "short"}
    assert first["params"] == {"iterations": 100, "lr_img": 3.0}
    assert first["source"] == (
        "leaderboards/tuning/fm14.md: repetitions −1 and −2 had 60.0, 64.0 on training images that the view leaves out, "
        "the best of 3 configurations (random 46.0)"
    )
    assert second["params"] == {"iterations": 100, "lr_img": 10.0}
    pooled = preset_entries(ledger_of(file, tried(file), active()), "dm", "page.md", size=14)
    assert yaml.safe_load(pooled)[0]["for"] == {"dataset": "digits", "size": 14, "ipc": 1, "profile": "short"}
    with pytest.raises(UsageError, match="does not tune 'mtt'"):
        preset_entries(ledger_of(file, tried(file), active()), "mtt", "page.md")


def test_a_result_that_is_reported_has_no_place(file):
    reported = trial("random", 45.0, 0, ipc=1, params={})
    with pytest.raises(UsageError, match="repetition 0: a ledger holds results of split 'tune'"):
        ledger_text(file, reported, active())
    on_test = pair("random", 45.0, r=-1)
    with pytest.raises(UsageError, match="is of split 'default'"):
        ledger_text(file, on_test, active())


@pytest.mark.parametrize(
    ("otherwise", "changed", "message"),
    [
        ({"protocol": "native"}, {}, "protocol is native, but the file says hard"),
        ({"eval_arch": "mlp-w128-nn"}, {}, "student network is mlp-w128-nn, but the file says convnet2-w32-in"),
        ({"arch": "convnet2-w8-in"}, {}, "condensing network is convnet2-w8-in, but the file says convnet2-w32-in"),
        ({"data": {"preprocess": "zca-kip"}}, {}, "preprocessing is zca-kip, but the file says meanstd"),
        ({"profile": "paper"}, {}, "profile is paper, but the file says short"),
        ({"e": 1}, {}, "student number is 1, but the file says 0"),
        ({}, {"cell": {"master": 5}}, "master seed is 5, but the file says 0"),
        ({}, {"eval": {"master": 5}}, "master seed is 5, but the file says 0"),
        ({"view": 300}, {}, 'data is digits .*300.*, but the file says digits .*200'),
        ({}, {"eval": {"protocol_version": 2}}, "protocol: random .* is of hard@1, dm .* of hard@2"),
        ({}, {"cell": {"method_version": 2}}, "method dm: dm .* is of dm@1, dm .* of dm@2"),
        ({}, {"cell": {"origin": "abc"}}, "method dm: dm .* is of dm@1, dm .* of dm@1 of abc"),
        ({}, {"data": {"revision": "1" * 16}}, "data: random .* is of revision 0000000000000000, dm .* of revision 1111"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["condense", "evaluation"])
def test_what_was_made_otherwise_than_the_file_says_has_no_place(file, otherwise, changed, message, kind):
    records = tried(file, lambda method, ipc, number: (method, ipc, number) != ("dm", 10, 2))
    odd = trial("dm", 99.0, -2, ipc=10, params=dict(file.of("dm", Budget(ipc=10))[2].params), **otherwise)
    for record in odd:
        change(
            record, **{name: what for name, what in changed.items() if name != "eval" or record.kind == "evaluation"}
        )
    records += [r for r in odd if kind == "evaluation" or r.kind == "condense"]
    if kind == "condense" and ("eval" in changed or otherwise.keys() & {"protocol", "eval_arch", "profile", "e"}):
        assert ledger_text(file, records, active())  # the set is the same, whoever made it
        return
    with pytest.raises(UsageError, match=message) as error:
        ledger_text(file, records, active())
    assert "dm [('augment'" in str(error.value)
    assert " at ipc 10, repetition -2 (" in str(error.value)
    assert "`ddbench tune tune.yaml --to NEW.jsonl`" in str(error.value)


def test_two_results_of_one_configuration_and_repetition_are_refused(file):
    params = dict(file.of("dm", ONE)[0].params)
    again = trial("dm", 52.0, -1, ipc=1, params=params, updates=2000)
    with pytest.raises(
        UsageError, match="are results of one configuration and repetition, and a ledger counts each once"
    ):
        ledger_text(file, tried(file) + again, active())
    with pytest.raises(UsageError, match=r"counts each once: .*--to NEW\.jsonl"):
        ledger_text(file, tried(file) * 2, active())


def test_a_ledger_of_older_versions_says_so_with_the_words_of_tables(file):
    now, records = {info.name: info.version for info in active().methods}, tried(file)

    def versions(protocol, dm):
        for record in records:
            name = record.document.cell.method
            change(record, cell={"method_version": dm if name == "dm" else now[name]})
            if record.kind == "evaluation":
                change(record, eval={"protocol_version": protocol})
        return ledger_text(file, records, active())

    hard = active().protocols.get("hard").version
    assert "ddbench has" not in versions(hard, now["dm"])
    text = versions(hard - 1, now["dm"] + 1)
    assert f"\nmade under hard@{hard - 1}; ddbench has hard@{hard}: waits for new runs<br>\n" in text
    assert f": made by dm@{now['dm'] + 1}; ddbench has dm@{now['dm']}: waits for new runs\n" in text


def test_what_was_tried_cannot_be_left_out(file):
    dropped = trial("dm", 99.0, -1, ipc=1, params={**file.of("dm", ONE)[0].params, "lr_img": 100.0})
    with pytest.raises(UsageError, match="a ledger counts all that was tried"):
        ledger_text(file, dropped, active())


def test_a_parameter_that_is_younger_than_the_records_stands_at_its_default(file):
    records = tried(file)
    for record in records:
        record.document.cell.params.pop("augment", None)
    assert not ledger_of(file, records, active()).missing


def test_a_page_is_made_from_its_file_and_records_and_checked(file, tmp_path):
    (tmp_path / "tune.yaml").write_text(yaml.safe_dump(FILE))
    write_records(tmp_path / "records/tune.jsonl", keyed(tried(file)))
    page = tmp_path / "tune.md"
    page.write_text(new_page(file, "tune.yaml", "records/tune.jsonl"))
    old, new = leaderboard.fresh(page)
    assert old != new
    assert "**lr_img=3.0**" in new
    page.write_text(new)
    assert leaderboard.fresh(page) == (new, new)
    (older,) = leaderboard.look(page).outdated
    assert older.startswith("made under hard@1")  # which is what these records say
    page.write_text(new.replace("62.0", "63.0"))
    old, new = leaderboard.fresh(page)
    assert old != new


def test_a_ledger_of_a_profile_for_tests_is_no_page(file, tmp_path):
    (tmp_path / "tune.yaml").write_text(yaml.safe_dump({**FILE, "profile": "smoke"}))
    write_records(tmp_path / "tune.jsonl", keyed(trial("random", 45.0, -1, ipc=1, params={}, profile="smoke")))
    (tmp_path / "tune.md").write_text(new_page(file, "tune.yaml", "tune.jsonl"))
    with pytest.raises(
        UsageError, match=r"tune\.jsonl: profile smoke is for tests; random .* has no place in a leaderb"
    ):
        leaderboard.fresh(tmp_path / "tune.md")


def test_a_marker_without_its_file_is_refused(tmp_path):
    (tmp_path / "tune.md").write_text("<!-- ddbench:tuning records=a.jsonl -->\n<!-- ddbench:end -->\n")
    with pytest.raises(UsageError, match="file=PATH is missing"):
        leaderboard.fresh(tmp_path / "tune.md")
