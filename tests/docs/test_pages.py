"""The pages of tutorials and how-tos: their commands succeed in order, and print the rows that the pages show."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

import ddbench
from ddbench.blocks.said import SAID
from ddbench.cli.root import COMMANDS
from ddbench.core.machine import _ONE_THREAD
from ddbench.core.plugin.loader import load
from ddbench.core.settings import VARIABLES
from ddbench.data.readers.hub import _SWITCHES
from ddbench.library.frames import COLUMNS as FRAME
from ddbench.publish.text.csv_json import ADDED, ALONE, PLACE, ROW, TABLE
from ddbench.publish.views.catalog import FAILURES, STABILITY, VIEWS
from ddbench.publish.views.columns import HEADERS
from ddbench.publish.views.cost import COSTS
from ddbench.publish.views.crossing import CROSSING
from ddbench.publish.views.lossless import LOSSLESS
from ddbench.publish.views.scores import SCORES
from ddbench.publish.views.students import OVER
from ddbench.publish.views.verdicts import LINES
from ddbench.work.evaluate.params import RecipeParams
from tests.docs.test_snippets import SHELLS, Block, blocks

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(str(path.relative_to(DOCS)) for part in ("tutorial", "how-to") for path in (DOCS / part).glob("*.md"))
RUN = [*PAGES, "reference/python.md", "reference/suite.md"]
NUMBER = re.compile(r"<?[+-]?\d[\d.,]*(?: [kMG]\b)?(?:–\d[\d.,]*(?: [kMG]\b)?)?")


def of(page: str) -> list[Block]:
    return blocks((DOCS / page).read_text(encoding="utf-8"))


def commands(block: Block) -> list[str]:
    if block.language not in SHELLS or block.skip:
        return []
    return [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]


def plain(line: str) -> str:
    """A row without what differs from run to run, or from machine to machine: numbers, marks of busy cores, widths."""
    return " ".join(NUMBER.sub("#", line.replace("†", "")).split())


def first_key(folder: Path) -> str:
    """The key of a set of repetition 0 that a method made."""
    return min(
        path.parent.name for path in folder.glob("runs/*/*/*/*/condense.json") if list(path.parent.glob("eval/*.json"))
    )


@pytest.fixture(scope="session")
def pages_home(tmp_path_factory, new_home):
    """One for all pages: `full` is made once."""
    return new_home(tmp_path_factory.mktemp("pages") / "home")


@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_succeed_in_order_and_print_its_rows(page, tmp_path, pages_home, typed):
    """Those of ddbench in this process; README's are run by the installed program (``test_snippets.py``)."""
    for block in of(page):
        if name := block.file or block.suite:
            (tmp_path / name).write_text(block.text + "\n")
    printed, shown, ran = set(), [], 0
    for block in of(page):
        for command in commands(block):
            words = shlex.split(command.replace("KEY", first_key(tmp_path)) if " KEY" in command else command)
            run = typed(words, tmp_path, pages_home, here=words[0] == "ddbench")
            assert run.returncode == 0, f"{command}\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}"
            printed |= {plain(line) for line in run.stdout.splitlines()}
            ran += 1
        if commands(block):
            shown += [line for line in block.text.splitlines() if line.startswith("| ")]
    assert ran
    # Costs stand in the same table or in one below it, by the width of their numbers.
    assert [line for line in shown if not any(row.startswith(plain(line)) for row in printed)] == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_run_say_the_profile_for_tests(page):
    """Readers see what the numbers are, and tests stay short."""
    slow = re.compile(r"ddbench (run|evaluate|plan|results export) ")
    odd = [c for block in of(page) for c in commands(block) if slow.match(c) and "--profile smoke" not in c]
    assert not odd


def links(text: str) -> list[str]:
    return re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text)


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: str(path.relative_to(DOCS)))
def test_every_relative_link_of_a_page_leads_somewhere(path):
    assert [link for link in links(path.read_text(encoding="utf-8")) if not (path.parent / link).exists()] == []


ANCHORED = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)#([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """The headings of a page as GitHub and as MkDocs address them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    github = {re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-") for heading in plain}
    return github | {re.sub("-+", "-", anchor) for anchor in github}


def test_every_anchor_of_a_page_names_a_heading():
    broken, found = [], 0
    for path in (*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md"), *(DOCS.parent / "plugins").rglob("*.md")):
        for page, anchor in ANCHORED.findall(path.read_text(encoding="utf-8")):
            there = path.parent / page if page else path
            found += there.suffix == ".md"
            if there.suffix == ".md" and anchor not in anchors(there.read_text(encoding="utf-8")):
                broken.append(f"{path.relative_to(DOCS.parent)}: {page}#{anchor}")
    assert not broken
    assert found > 20
    assert "keys" not in anchors("text\n```\n# Keys\n```\n") and {"the-params", "a-b"} <= anchors(
        "## The params\n# A / [b](c)"
    )


class Loose(yaml.SafeLoader):
    """Reads mkdocs.yml, which names a Python function."""


Loose.add_multi_constructor("", lambda loader, suffix, node: suffix)


def named(part: object) -> list[str]:
    """The pages of a navigation."""
    if isinstance(part, str):
        return [part]
    return [page for child in (part.values() if isinstance(part, dict) else part) for page in named(child)]


def test_the_navigation_has_every_page_once():
    config = yaml.load((DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8"), Loose)
    assert sorted(named(config["nav"])) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


# ------------------------------------------------------------------------------------------------------ reference


COLUMNS = (DOCS / "reference/columns.md").read_text(encoding="utf-8")
TABLES = {
    "scores": SCORES, "cost": COSTS, "verdicts": LINES, "crossing": CROSSING, "lossless": LOSSLESS, "failures": FAILURES,
    "stability": STABILITY, "students": OVER,
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_the_page_of_tables_has_every_header(table):
    assert [one.header for one in TABLES[table] if f"`{one.header}`" not in COLUMNS and one.header] == []


def test_the_page_of_tables_has_every_view_and_every_header_that_several_tables_share():
    assert [name for name in ("main", *VIEWS) if f"`{name}`" not in COLUMNS] == []
    assert [header for header in HEADERS.values() if f"`{header}`" not in COLUMNS] == []


def test_the_page_of_tables_has_every_name_of_csv():
    views = [columns for columns, _ in (*ADDED.values(), *ALONE.values())]
    names = [one.name for columns in (TABLE, ROW, PLACE, *views) for one in columns]
    names += [f"students_{one.name}" for one in OVER]
    assert [name for name in names if f"`{name}`" not in COLUMNS] == []


def test_the_page_of_python_has_every_column_every_function_and_every_error():
    page = (DOCS / "reference/python.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page.split("## Columns")[1], flags=re.MULTILINE)) == {
        name: meaning for name, (meaning, _) in FRAME.items()
    }
    made = [getattr(ddbench, name) for name in ddbench.__all__]
    functions = [one for one in made if getattr(one, "__module__", "").startswith("ddbench.library.")]
    assert len(functions) == 5
    assert [one for one in functions if f"::: {one.__module__}.{one.__qualname__}\n" not in page] == []
    errors = [one.__name__ for one in made if isinstance(one, type) and issubclass(one, Exception)]
    assert len(errors) == 4 and [name for name in errors if f"`ddbench.{name}`" not in page] == []


def test_the_index_of_leaderboards_has_every_file():
    folder = DOCS.parent / "leaderboards"
    linked = links((folder / "README.md").read_text(encoding="utf-8"))
    assert [path.name for path in folder.iterdir() if path.name not in ("README.md", *linked)] == []


def test_the_page_of_tables_has_what_methods_say():
    rows = [(f"| `{one.header}` |", one.meaning.replace("|", r"\|")) for one in SAID]
    lines = COLUMNS.splitlines()
    assert [row for row in rows if not any(line.startswith(row[0]) and row[1] in line for line in lines)] == []


def test_the_page_of_protocols_is_what_is_registered():
    protocols = (DOCS / "reference/protocols.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| `(\S+@\d+)` \| (.+) \|$", protocols, flags=re.MULTILINE))
    known = load().protocols
    assert shown == {f"{one.name}@{one.version}": one.summary for one in known}


def test_the_page_of_protocols_has_every_parameter_of_those_that_train_networks():
    protocols = (DOCS / "reference/protocols.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| `(\w+)` \| .+? \| (.+) \|$", protocols, flags=re.MULTILINE))
    assert shown == {name: field.description for name, field in RecipeParams.model_fields.items()}


def test_the_page_of_the_environment_has_every_variable():
    text = (DOCS / "reference/environment.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^\| `(DDBENCH_\w+)` \|", text, flags=re.MULTILINE))
    assert shown == set(VARIABLES)
    sources = [path for path in (DOCS.parent / "ddbench").rglob("*.py") if "testing" not in path.parts]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    read = set(re.findall(r"""environ(?:\.get\(|\.setdefault\(|\[)\s*["'](\w+)["']""", code))
    read |= {*_ONE_THREAD, *(name for _, name in _SWITCHES)}
    assert {name for name in read if f"`{name}`" not in text} == set()


def test_every_command_is_listed_for_the_manual():
    assert "root" in (DOCS / "reference/cli.md").read_text(encoding="utf-8")
    assert all(summary.endswith(".") for _, summary in COMMANDS.values())
