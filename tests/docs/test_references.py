"""No text of the repository names a file or a document that is not in it, and first lines of modules are true."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", "benchmarks", "configs", "ddbench", "docs", "leaderboards", "plugins", "tests")
"""What is read; of HTML pages and records nothing, they are generated."""
KINDS = (".py", ".md", ".yaml", ".tmpl", ".js", ".css", ".sh", "")

PRIVATE = re.compile(
    r"\bshared/|\bspecs/|\bdesign/|(?<!by )\bdesign:|\bspecs: [a-z]|\(specs? |architecture §|§ ?\d"
    r"|\b(?:architecture|evaluation|layout|matching|performance|style|trajectory) (?:spec|note|document|guide)\b"
    r"|\b(?:house plan|style guide|layout\.md)\b",
    re.IGNORECASE,
)
"""Names of documents that developers may have and readers have not."""

PATH = re.compile(
    r"(?<![\w./$<>{}-])(?:\.ci|benchmarks|configs|ddbench|ddbench_plugins|docs|leaderboards|plugins|tests)/[\w./-]*\w/?"
)
DOCUMENT = re.compile(r"(?<![\w./*<>{}-])[\w./-]*\w\.md\b")
MADE_BY_READERS = re.compile(r"--to |--out |\bddbench new\b")
"""A line of a document that names a file which its command writes."""


def files() -> list[Path]:
    found = [path for path in ROOT.iterdir() if path.suffix in (".md", ".toml")]
    for folder in FOLDERS:
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix in KINDS]
    return sorted(path for path in found if "__pycache__" not in path.parts)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that people read: of Python comments and docstrings, of TOML comments, of other files all."""
    content = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        for number, line in enumerate(content.splitlines(), 1):
            yield number, line.partition("#")[2] if path.suffix == ".toml" else line
        return
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for offset, line in enumerate(node.value.value.splitlines()):
                yield node.lineno + offset, line


def missing(path: Path, line: str) -> list[str]:
    """Files that a line names and that are neither beside ``path`` nor in the repository."""
    if MADE_BY_READERS.search(line):
        return []
    names = {*PATH.findall(line), *DOCUMENT.findall(line)}
    bases = (path.parent, ROOT, ROOT / "plugins", ROOT / "ddbench")
    return sorted(name for name in names if not any((base / name).exists() for base in bases))


def test_the_rules_of_this_file_find_what_they_are_for():
    for text in (
        "(design: Statistics)", "``specs/matching_and_pruning.md`` §1.1", "(trajectory spec, P10)", "(specs: trajectory 2.1)",
        "see design/evaluation.md", "architecture §1: cli", "in shared/parity", "(specs of FRePo, KIP and kornia)",
    ):  # fmt: skip
        assert PRIVATE.search(text), text
    for text in ("a spec.json of the cell", "spec: From :func:`difficulty_spec`.", "the same by design: equal seeds"):
        assert not PRIVATE.search(text), text
    assert missing(ROOT / "README.md", "see docs/gone.md, tests/gone.py and GONE.md") == [
        "GONE.md", "docs/gone.md", "tests/gone.py",
    ]  # fmt: skip
    assert missing(ROOT / "plugins/README.md", "see ../CONTRIBUTING.md and [here](ddbench_plugins/dm)") == []


def test_what_a_text_names_is_in_the_repository():
    told = []
    for path in files():
        for number, line in texts(path):
            private = PRIVATE.search(line)
            names = ([private[0]] if private else []) + missing(path, line)
            told += [f"{path.relative_to(ROOT)}:{number} names {name!r}" for name in names]
    assert not told, "\n".join(["readers do not have this:", *told])


MODULES = sorted(path for part in ("ddbench", "plugins/ddbench_plugins") for path in (ROOT / part).rglob("*.py"))


def first_paragraph(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n\n")[0]


def test_modules_that_say_they_import_no_torch_import_none():
    claimed = [path for path in MODULES if re.search(r"\bno torch\b", first_paragraph(path), re.IGNORECASE)]
    assert len(claimed) > 20
    names = []
    for path in claimed:
        parts = path.relative_to(ROOT).with_suffix("").parts
        names.append(".".join(part for part in parts if part not in ("plugins", "__init__")))
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n    assert 'torch' not in sys.modules, name"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])}
    run = subprocess.run([sys.executable, "-c", code, *names], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_every_module_says_first_what_is_in_it():
    assert [path for path in MODULES if not re.fullmatch(r"\S.*[.:]", first_paragraph(path), re.DOTALL)] == []
