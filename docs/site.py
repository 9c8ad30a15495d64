"""What the documentation site takes from outside docs/: markdown of the repository, and links that lead there.

Links are written for readers of the repository. On the site, what is not below docs/ lies below repository/, under its
own path; a link to what is no page becomes its text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PATTERNS = (
    "*.md",
    "plugins/**/README.md",
    "leaderboards/*.md",
    "leaderboards/*.html",
    "benchmarks/*.md",
    "*/*.svg",
    "LICENSE",
)
PREFIX = "repository/"
FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod): ?(?=<code)")
"""What docstrings name the kind of a reference by; it stands before the code on the page."""


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the repository's own pages."""
    for pattern in PATTERNS:
        for path in ROOT.glob(pattern):
            name = PREFIX + path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Lead links to where their files are on the site; code stays as it is."""
    here = posixpath.dirname(page.file.src_uri)

    def led(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        path = _in_repository(page.file.src_uri, target)
        for name in (_on_site(path), _on_site(posixpath.join(path, "README.md"))):
            if files.get_file_from_path(name) is not None:
                return f"[{text}]({posixpath.relpath(name, here or '.')}{anchor})"
        return text if (ROOT / path).exists() else match[0]

    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [LINK.sub(led, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(led, markdown[end:])])


def on_page_content(html: str, **_: Any) -> str:
    """Leave out the roles of references, which the pages' generator takes for text."""
    return ROLE.sub("", html)


def _in_repository(source: str, target: str) -> str:
    """Where a link of a page leads, from the repository's root."""
    own = source.removeprefix(PREFIX) if source.startswith(PREFIX) else f"docs/{source}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(own), target))


def _on_site(path: str) -> str:
    """What a file of the repository is called on the site."""
    return path.removeprefix("docs/") if path.startswith("docs/") else PREFIX + path
