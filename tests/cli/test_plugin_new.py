"""`ddbench plugin new`: for each kind of member a package that works as it is, and whose tests find what is broken."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tomllib

import pytest

from ddbench.cli import invoke
from ddbench.cli.plugin.new import KINDS, SCAFFOLD
from ddbench.core.plugin.loader import installed
from ddbench.testing import run_check
from ddbench.testing.contract import bench_of
from tests.e2e.runs import SMOKE, ddbench

pytest_plugins = ["ddbench.testing.fixtures"]

NOUNS = dict(zip(KINDS, ("method", "protocol", "data set", "architecture", "artifact kind"), strict=True))
MEMBERS = {kind: [(NOUNS[kind], f"my_{kind}")] for kind in KINDS}
MEMBERS["artifact"].append(("method", "nearest_my_artifact"))

# kind → file, what is there, what breaks it, and the law that finds this
BROKEN = {
    "method": ("method.py", "(len(members), generator=ctx.generator)", "(len(members))", "global_randomness_is_untouched"),
    "protocol": ("protocol.py", 'draws.set_state(kept["draws"])', "pass", "interruption_changes_nothing"),
    "dataset": ("reader.py", "default_rng(0)", "default_rng()", "reading_is_deterministic"),
    "architecture": ("network.py", "nn.Linear(2 * width, classes)", "nn.Linear(2 * width, 10)", "logits_have_a_column_for_each_class"),
    "artifact": ("build.py", "torch.stack(means)", "(torch.stack(means) + torch.rand(1))", "builds_are_the_same"),
}  # fmt: skip


def said(capsys) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.fixture
def made(tmp_path, fake_distribution):
    """Writes a package called ``my_KIND``, and installs it with its metadata as pip would; ``edit``: a file, old, new."""

    def make(kind, edit=None):
        name = f"my_{kind}"
        assert invoke(["plugin", "new", name, "--kind", kind, "--to", str(tmp_path)]) == 0
        package = tmp_path / f"ddbench-{name}"
        project = tomllib.loads((package / "pyproject.toml").read_text())
        ((entry, module),) = project["project"]["entry-points"]["ddbench"].items()
        (source,) = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        assert (project["project"]["name"], entry, module, source) == (
            f"ddbench-{name}", name, f"ddbench_{name}", f"src/ddbench_{name}",
        )  # fmt: skip
        if edit is not None:
            path, old, new = package / source / edit[0], *edit[1:]
            assert path.read_text().count(old) == 1
            path.write_text(path.read_text().replace(old, new))
        fake_distribution(f"ddbench-{name}", "", entry=entry, module=module).unlink()
        shutil.copytree(package / source, fake_distribution.site / module)
        return package

    return make


def benches(kind, folder):
    """The bench of each member of the package, and its laws."""
    return [bench_of(noun, name, installed(), folder / "home") for noun, name in MEMBERS[kind]]


def test_new_packages_pass_their_own_tests_and_register_what_they_say(made, tmp_path, capsys):
    folders = [made(kind) / "tests" for kind in KINDS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    run = subprocess.run(
        [*command, "--import-mode=importlib", *map(str, folders)], cwd=tmp_path, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    laws = {kind: sum(len(checks) for _, checks in benches(kind, tmp_path)) for kind in KINDS}
    assert all(laws.values()) and f"{sum(laws.values())} passed" in run.stdout
    capsys.readouterr()
    assert invoke(["plugin", "doctor"]) == 0
    told = capsys.readouterr().out
    for kind in KINDS:
        registered = told.partition(f"plugin my_{kind} (ddbench-my_{kind} 1.0): ")[2].partition("\n")[0]
        assert sorted(registered.split(", ")) == sorted(" ".join(member) for member in MEMBERS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_the_run_that_a_new_package_s_readme_shows_has_a_row_of_it_and_no_failure(
    kind, made, fresh_home, tmp_path, capsys
):
    readme = (made(kind) / "README.md").read_text()
    (line,) = [line.strip() for line in readme.splitlines() if line.startswith("    ddbench run ")]
    assert f"my_{kind}" in line
    short = (*SMOKE, "--seeds", 1, "--eval-seeds", 1, "--reference-limit", "0s", "--out", tmp_path / "runs")
    assert ddbench(*shlex.split(line)[1:], *short, "--format", "csv") == 0, capsys.readouterr().err
    assert f"my_{kind}" in capsys.readouterr().out


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_package_fails_the_law_that_it_breaks(kind, made, tmp_path):
    *edit, law = BROKEN[kind]
    made(kind, edit)
    bench, checks = benches(kind, tmp_path)[0]
    (check,) = [check for check in checks if check.__name__ == law]
    assert run_check(check, bench).problem is not None


@pytest.mark.parametrize("kind", KINDS)
def test_a_readme_says_what_to_change_in_files_that_are_there(kind, tmp_path):
    assert invoke(["plugin", "new", "x", "--kind", kind, "--to", str(tmp_path)]) == 0
    package = tmp_path / "ddbench-x"
    readme = (package / "README.md").read_text()
    article = "An" if NOUNS[kind][0] == "a" else "A"
    assert readme.startswith(f"# ddbench-x\n\n{article} {NOUNS[kind]} for ddbench.\n")
    if kind != "method":  # its README is the ledger of a paper
        named = {line.split("`")[1] for line in readme.splitlines() if line.startswith("- `")}
        assert named == {path.name for path in (package / "src" / "ddbench_x").iterdir()}
    assert not [path for path in package.rglob("*") if path.is_file() and "${" in path.read_text()]


def test_a_package_adds_a_method_unless_it_says_otherwise(tmp_path):
    for words in ((), ("--kind", "method")):
        assert invoke(["plugin", "new", "x", *words, "--to", str(tmp_path / str(len(words)))]) == 0
    first, second = (sorted((tmp_path / folder / "ddbench-x").rglob("*.*")) for folder in "02")
    assert [path.read_bytes() for path in first if path.is_file()] == [p.read_bytes() for p in second if p.is_file()]


def test_every_kind_has_a_hook_and_templates_and_every_hook_a_kind():
    assert {f"ddbench_register_{kind}s" for kind in KINDS} == set(installed().by_hook())
    assert {path.name for path in SCAFFOLD.iterdir()} == {*KINDS, "common"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["My_method", "my-method", "2fast", "ünique", "", "a b", "../up", "_x"])
def test_new_refuses_bad_names(name, kind, tmp_path, capsys):
    assert invoke(["plugin", "new", "--kind", kind, "--to", str(tmp_path), "--", name]) == 2
    article = "an" if NOUNS[kind][0] == "a" else "a"
    assert f"is not {article} {NOUNS[kind]} name: use small letters" in said(capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "name"),
    [("method", "dm"), ("protocol", "hard"), ("dataset", "digits"), ("architecture", "convnet3"), ("artifact", "experts")],
)  # fmt: skip
def test_new_refuses_a_taken_name(kind, name, tmp_path, capsys):
    assert invoke(["plugin", "new", name, "--kind", kind, "--to", str(tmp_path)]) == 2
    assert f"{NOUNS[kind]} '{name}' is already registered by ddbench; choose another" in said(capsys)
    assert not list(tmp_path.iterdir())


def test_new_refuses_a_kind_that_there_is_none_of(tmp_path, capsys):
    assert invoke(["plugin", "new", "x", "--kind", "network", "--to", str(tmp_path)]) == 2
    assert "'network' is not one of 'method', 'protocol', 'dataset', 'architecture', 'artifact'" in said(capsys)
    assert not list(tmp_path.iterdir())


def test_new_overwrites_nothing(tmp_path, capsys):
    (tmp_path / "ddbench-peek").mkdir()
    assert invoke(["plugin", "new", "peek", "--to", str(tmp_path)]) == 2
    assert "exists already; nothing was written" in said(capsys)
    assert not list((tmp_path / "ddbench-peek").iterdir())


def test_new_says_when_the_folder_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert invoke(["plugin", "new", "peek", "--to", str(tmp_path / "file")]) != 0
    assert "--to DIR" in said(capsys)


@pytest.mark.parametrize("part", ["", "src/ddbench_x/__init__.py"], ids=["its folder", "its module"])
def test_a_package_in_place_of_a_file_is_answered_with_how_it_is_installed(part, tmp_path, capsys):
    assert invoke(["plugin", "new", "x", "--to", str(tmp_path)]) == 0
    package = tmp_path / "ddbench-x"
    assert invoke(["list", "methods", "--plugin", str(package / part)]) == 2
    assert f"install it by `pip install -e {package}`, and leave --plugin out" in said(capsys)


def test_the_commands_that_come_next_are_printed_in_their_order_and_can_be_typed(tmp_path, monkeypatch, capsys):
    """Before the first of them the name is unknown, and the message names that command."""
    monkeypatch.chdir(tmp_path)
    assert invoke(["plugin", "new", "x", "--to", "a b"]) == 0
    install, check = capsys.readouterr().err.strip().removeprefix("next: ").split(" && ")
    assert shlex.split(install) == ["pip", "install", "-e", "a b/ddbench-x"]
    assert shlex.split(check) == ["ddbench", "plugin", "check", "x"]
    monkeypatch.chdir(tmp_path / "a b")
    for words in (shlex.split(check)[1:], ["run", "--methods", "x", "--ipc", "1"], ["describe", "x"]):
        assert invoke(words) == 2
        assert "ddbench-x is here and not installed: `pip install -e ddbench-x`" in said(capsys)
