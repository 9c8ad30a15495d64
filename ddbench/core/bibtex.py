"""BibTeX of what is known: the papers that methods name, and ddbench's own. What nobody registered is left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ddbench.core.infos import MethodInfo, Paper
from ddbench.core.plugin.registry import Registry
from ddbench.core.yaml import read_yaml

_SPECIAL = re.compile(r"([&%$#_{}])")
_FILE = "CITATION.cff"


def bibliography(names: Iterable[str], known: Registry[MethodInfo]) -> str:
    """An entry for each paper of methods, with a comment that names these, and ddbench's entry last.

    Papers are registered without their kind of publication: entries are ``@misc``.

    Args:
        names: Of methods.
        known: The methods that there are.
    """
    papers: dict[Paper, list[str]] = {}
    without: list[str] = []
    for name in dict.fromkeys(names):
        info = known.find(name)
        if info is None:
            without.append(f"% {name}: its plugin is not here")
        elif info.paper is None:
            without.append(f"% {name}: no paper is registered")
        else:
            papers.setdefault(info.paper, []).append(name)
    entries = [f"% {', '.join(of)}\n{of_paper(f'{of[0]}{paper.year}', paper)}" for paper, of in papers.items()]
    return "\n\n".join([*entries, *(["\n".join(without)] if without else []), f"% ddbench\n{of_ddbench()}"]) + "\n"


def of_paper(key: str, paper: Paper) -> str:
    """The entry of a paper."""
    title, venue = (_text(value) for value in (paper.title, paper.venue))
    fields = {"author": " and ".join(map(_text, paper.authors)), "title": f"{{{title}}}", "howpublished": venue}
    return _entry(key, {**fields, "year": str(paper.year), "url": paper.url})


def of_ddbench() -> str:
    """The entry of ddbench, from its CITATION.cff."""
    beside = Path(__file__).parents[1] / _FILE  # of an installed ddbench
    told: Mapping[str, Any] = read_yaml(beside if beside.is_file() else Path(__file__).parents[2] / _FILE, "citation")
    authors = " and ".join(f"{{{author['name']}}}" for author in told["authors"])
    fields = {name: str(told.get(name, "")) for name in ("title", "version", "url")}
    return _entry("ddbench", {"author": authors, **fields, "title": f"{{{_text(fields['title'])}}}"})


def _entry(key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def _text(value: str) -> str:
    """A text of LaTeX."""
    return _SPECIAL.sub(r"\\\1", value)
