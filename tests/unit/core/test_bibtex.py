"""BibTeX of methods: what is registered, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ddbench.core.bibtex import bibliography, of_paper
from ddbench.core.errors import PluginError
from ddbench.core.infos import Paper
from ddbench.core.plugin.loader import installed
from tests.e2e.runs import ddbench
from tests.factories import cell, placed

DM = """\
@misc{dm2023,
  author = {Zhao, Bo and Bilen, Hakan},
  title = {{Dataset Condensation with Distribution Matching}},
  howpublished = {WACV},
  year = {2023},
  url = {https://arxiv.org/abs/2110.04181},
}"""


def keys(text):
    return re.findall(r"^@misc\{(\w+),$", text, re.MULTILINE)


def test_an_entry_holds_what_is_registered():
    paper = installed().methods.get("dm").paper
    assert of_paper("dm2023", paper) == DM.replace("https://arxiv.org/abs/2110.04181", paper.url)
    assert "50\\% of A\\_1 \\& B\\#" in of_paper("x", Paper("50% of A_1 & B#", "V", 2000, "https://a_b"))
    assert "https://a_b" in of_paper("x", Paper("t", "", 2000, "https://a_b"))
    bare = of_paper("x", Paper("t", "", 2000, "u"))
    assert "howpublished" not in bare and "author" not in bare


@pytest.mark.parametrize("authors", ["Zhao, Bo", ["Zhao, Bo"], ("Zhao, Bo", ""), ("Zhao, Bo", 7)])
def test_authors_that_are_no_tuple_of_names_are_refused(authors):
    with pytest.raises(PluginError, match=r"paper 't': authors"):
        Paper("t", "", 2000, "u", authors)


@pytest.mark.parametrize("broken", ["Müller & Co, {A", "A}, B", "}{"])
@pytest.mark.parametrize("place", ["title", "venue", "url", "authors"])
def test_a_text_that_would_break_the_file_is_refused(place, broken):
    texts = {"title": "t", "venue": "", "url": "u", place: ("Zhao, Bo", broken) if place == "authors" else broken}
    with pytest.raises(PluginError, match="a brace without its other one"):
        Paper(year=2000, **texts)


@pytest.mark.parametrize("author", ["Smith and Sons, X", "A, B\tAND C, D"])
def test_a_name_that_would_be_two_is_refused(author):
    with pytest.raises(PluginError, match=r"paper 't': authors holds .*: one each"):
        Paper("t", "", 2000, "u", (author,))


def test_authors_are_text_of_latex():
    paper = Paper("t", "", 2000, "u", ("Müller & Co, A_1", "Anderson, Sand", "{B}, C"))
    assert "  author = {Müller \\& Co, A\\_1 and Anderson, Sand and \\{B\\}, C},\n" in of_paper("x", paper)


def test_every_first_party_paper_has_authors_title_and_year():
    papers = {info.name: info.paper for info in installed().methods if info.paper is not None}
    assert len(papers) >= 30
    for name, paper in papers.items():
        entry = of_paper(name, paper)
        assert all(re.search(rf"^  {field} = \{{.+\}},$", entry, re.M) for field in ("author", "title", "year")), name
        assert all(re.fullmatch(r"[A-Z][\w .-]+, [A-Z][\w .-]+", author) for author in paper.authors), name
        assert len(set(paper.authors)) == len(paper.authors), name


def test_all_first_party_papers_have_one_entry_each_and_the_others_are_named():
    methods = installed().methods
    text = bibliography([info.name for info in methods], methods)
    papers = {info.paper for info in methods if info.paper is not None}
    assert len(keys(text)) == len({*keys(text)}) == len(papers) + 1
    for info in methods:
        if info.paper is None:
            assert f"% {info.name}: no paper is registered" in text
        else:
            assert re.search(rf"^% (\w+, )*{info.name}(, \w+)*$", text, re.MULTILINE)
    assert text.count("{") == text.count("}") and text.count("author = {") == len(papers) + 1


def test_ddbench_is_cited_as_its_file_says():
    told = yaml.safe_load((Path(__file__).parents[3] / "CITATION.cff").read_text())
    text = bibliography([], installed().methods)
    assert keys(text) == ["ddbench"]
    assert f"author = {{{{{told['authors'][0]['name']}}}}}" in text and f"version = {{{told['version']}}}" in text


def test_the_methods_of_a_folder_are_cited(tmp_path, fresh_home, capsys):
    placed(tmp_path, [*cell("random", [40.0]), *cell("dm", [50.0]), *cell("gone", [1.0])])
    assert ddbench("results", "show", "--out", tmp_path, "--bibtex") == 0
    text = capsys.readouterr().out
    assert keys(text) == ["dm2023", "ddbench"]
    assert "% random: no paper is registered" in text and "% gone: its plugin is not here" in text


@pytest.mark.parametrize(("name", "found"), [("dm", ["dm2023", "ddbench"]), ("random", ["ddbench"])])
def test_a_method_says_what_to_cite(capsys, name, found):
    assert ddbench("describe", name, "--bibtex") == 0
    assert keys(capsys.readouterr().out) == found
    assert ddbench("describe", "hard", "--bibtex") == 2
    assert "only methods name papers" in capsys.readouterr().err
