"""What the documentation shows works: Python blocks are files that run, `ddbench` lines are commands that succeed."""

from __future__ import annotations

import re
import runpy
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

import pytest

ROOT = Path(__file__).parents[2]
HOOK_PAGES = tuple(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs/reference/hooks").glob("*.md")))
DOCUMENTS = ("README.md", "plugins/README.md", "CONTRIBUTING.md", *HOOK_PAGES)
SHELLS = ("console", "bash", "sh")
SKIP = re.compile(r"<!--\s*skip-test:\s*(.*?)\s*-->")
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})\s*([\w+-]*)")
UNRUNNABLE = re.compile(r"pip install|-m venv|data prepare|leaderboard render|ddbench evaluate")
"""What a test cannot do: install, download, write into the repository. Only blocks with such a line may be skipped."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and why it is not run."""

    language: str
    text: str
    line: int
    skip: str | None

    @property
    def commands(self) -> list[str]:
        """Its `ddbench` lines without prompt and comment; lines that end in a backslash go on."""
        if self.language not in SHELLS:
            return []
        lines = [line.strip().removeprefix("$ ") for line in self.text.replace("\\\n", " ").splitlines()]
        return [line for line in lines if line.startswith("ddbench ")]

    @property
    def suite(self) -> str | None:
        """The file that a YAML block is the content of, likewise."""
        match = re.match(r"# ([\w-]+\.yaml)\s*$", self.text.partition("\n")[0])
        return match[1] if self.language == "yaml" and match else None

    @property
    def file(self) -> str | None:
        """The file that a Python block is the content of, from its first line ``# name.py``."""
        match = re.match(r"# ([\w/]+\.py)\s*$", self.text.partition("\n")[0])
        return match[1] if self.language == "python" and match else None


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a markdown text; one that is never closed ends with the text."""
    found: list[Block] = []
    previous, fence, start, language, skip, body = "", "", 0, "", None, []
    for number, line in enumerate(text.splitlines(), start=1):
        if fence:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                found.append(Block(language, "\n".join(body), start, skip))
                fence = ""
            else:
                body.append(line)
        elif opening := FENCE.match(line):
            tag = SKIP.search(previous)
            fence, language, start, skip, body = opening[1], opening[2], number, tag and tag[1], []
        if line.strip():
            previous = line
    if fence:
        found.append(Block(language, "\n".join(body), start, skip))
    return found


def of(document: str) -> list[Block]:
    path = ROOT / document
    return blocks(path.read_text(encoding="utf-8")) if path.exists() else []


COMMANDS = [
    pytest.param(document, command, id=f"{document}:{block.line} {command}")
    for document in DOCUMENTS
    for block in of(document)
    if not block.skip
    for command in block.commands
]


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A working folder for each document, with the files that it shows; results are kept from command to command."""
    made = {}
    for document in DOCUMENTS:
        made[document] = tmp_path_factory.mktemp("document")
        for block in of(document):
            if block.file:
                (made[document] / block.file).write_text(block.text + "\n")
    return made


@pytest.fixture(scope="session")
def home(tmp_path_factory, new_home):
    return new_home(tmp_path_factory.mktemp("documents") / "home")


SHORT = {"--seeds": "1", "--protocols": "hard-fixed", "--reference-limit": "0s"}
"""What runs get that say nothing else."""


def arguments(command: str) -> list[str]:
    """The words of a command; runs are made short, and plugins run in the command's own process, which starts faster."""
    words = shlex.split(command, comments=True)[1:]
    if words[0] != "run":
        return words
    short = [word for option, value in SHORT.items() if option not in words for word in (option, value)]
    return [*words, *short, "--profile", "smoke", "--threads", "1", "--isolate", "never", "--out", "runs"]


READERS = ("results", "plot")
"""Commands that look at what earlier ones left; which of those this process runs is not said."""


@pytest.mark.parametrize(("document", "command"), COMMANDS)
def test_commands_succeed(document, command, folders, home, typed):
    """Those of README by the installed program, the others in this process."""

    def call(words):
        return typed(["ddbench", *words], folders[document], home, here=document != "README.md")

    words = arguments(command)
    if words[0] in READERS:
        call(arguments("ddbench run --methods random,dm --ipc 1 --seeds 2 --reference-limit 0"))
    run = call(words)
    assert run.returncode == 0, f"{command}\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}"


FILES = [
    pytest.param(document, block.file, id=f"{document}:{block.file}")
    for document in DOCUMENTS
    for block in of(document)
    if block.file
]


@pytest.mark.parametrize(("document", "name"), FILES)
def test_python_files_can_be_imported(document, name, folders):
    found = runpy.run_path(str(folders[document] / name))
    own = [value for value in found.values() if getattr(value, "__module__", None) == found["__name__"]]
    assert any(isinstance(value, type | FunctionType) for value in own), "it defines nothing"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_only_what_a_test_cannot_do_is_skipped(document):
    odd = [block.line for block in of(document) if block.skip is not None and not UNRUNNABLE.search(block.text)]
    assert not odd, f"{document}: the blocks at lines {odd} can be run: remove their skip-test"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_leads_somewhere(document):
    path = ROOT / document
    if not path.exists():
        return
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", path.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (path.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", HOOK_PAGES)
def test_every_hook_page_shows_plugins_runs_them_and_checks_them(page):
    shown = of(page)
    names = [block.file for block in shown if block.file]
    commands = [command for block in shown for command in block.commands]
    assert names
    for name in names:
        assert any(command.startswith("ddbench run ") and f"--plugin {name}" in command for command in commands)
        assert f"ddbench plugin check {name}" in commands


def test_the_plugin_guide_shows_a_plugin_and_runs_it():
    shown = of("plugins/README.md")
    assert "first.py" in [block.file for block in shown]
    assert "ddbench run --plugin first.py --methods first --ipc 1" in [c for block in shown for c in block.commands]


def test_the_suite_of_two_ends_runs_and_its_labels_name_rows_of_claims_and_crossings(tmp_path, home, typed):
    shown = of("docs/explanation/selection.md")
    for block in shown:
        if block.suite:
            (tmp_path / block.suite).write_text(block.text + "\n")
    said = {}
    for words in (shlex.split(command)[1:] for block in shown for command in block.commands):
        short = ["--profile", "smoke", "--seeds", "2", "--random-seeds", "2"] if "--suite" in words else []
        run = typed(["ddbench", *words, *short], tmp_path, home, here=True)
        assert run.returncode == 0, f"{words}\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}"
        said[" ".join(words[:2])] = run.stdout
    labels = ("el2n, hard first", "el2n, easy first")
    assert all(f"| {label}" in said["run --suite"] for label in labels)
    assert "undecided: n = 2 of 6" in said["results claims"]
    assert all(label in said["plot crossing"] for label in labels)


# -------------------------------------------------------------------------------------------------- the extractor


def test_a_block_knows_language_text_and_line():
    (block,) = blocks("text\n\n```python\nx = 1\n```\n")
    assert (block.language, block.text, block.line, block.skip) == ("python", "x = 1", 3, None)


def test_longer_fences_hold_shorter_ones():
    assert [block.text for block in blocks("````\n```\nx\n```\n````")] == ["```\nx\n```"]


def test_an_open_block_ends_with_the_text():
    assert [block.text for block in blocks("```bash\nddbench env")] == ["ddbench env"]


def test_an_empty_document_has_no_blocks():
    assert blocks("") == []


def test_a_tag_holds_for_the_next_block_only():
    first, second = blocks("<!-- skip-test: downloads -->\n\n```\na\n```\n\n```\nb\n```\n")
    assert (first.skip, second.skip) == ("downloads", None)


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("$ ddbench env", ["ddbench env"]),
        ("ddbench run \\\n  --ipc 1", ["ddbench run    --ipc 1"]),
        ("pip install -e . && ddbench env", []),
        ("ddbench-tool x", []),
    ],
)
def test_commands_are_lines_that_start_with_ddbench(text, commands):
    assert Block("bash", text, 1, None).commands == commands


def test_comments_are_no_arguments():
    assert arguments("ddbench data list   # what there is") == ["data", "list"]
