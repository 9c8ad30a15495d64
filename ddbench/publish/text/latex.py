"""Tables → LaTeX with booktabs, to be pasted into a paper."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ddbench.publish.views.view import View

HEAD = "% needs \\usepackage{booktabs}\n"
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "∪": r"$\cup$",
    "−": "$-$",
    "–": "--",
    "…": r"\dots{}",
    "†": r"\dag{}",
    "½": r"$\frac{1}{2}$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "δ": r"$\delta$",
    "θ": r"$\theta$",
    "τ": r"$\tau$",
    "χ": r"$\chi$",
    "‖": r"$\|$",
    "₀": "$_{0}$",
    "--": "-{}-",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
_LEVEL = str.maketrans(f"{_RAISED} ", "0123456789-,")
_SPECIALS = re.compile(
    rf"(?P<marks>[{_RAISED}]+(?: [{_RAISED}]+)*)|(?<![^\s\[(])(?P<negative>-\d+(?:\.\d+)?)|"
    + "|".join(map(re.escape, _SPECIAL))
)
"""Footnote marks side by side, a number below zero, or a character of :data:`_SPECIAL`."""
_BOLD = re.compile(r"\*\*(.+?)\*\*")


def to_latex(views: Sequence[View]) -> str:
    """One ``table`` environment per table: caption above, notes below, rules of booktabs."""
    return HEAD + "\n".join(_environment(view) for view in views) if views else "% no results\n"


def escape(text: str) -> str:
    """Text in which no character is a command, and those that pdflatex lacks are; numbers below zero have a minus."""
    return _SPECIALS.sub(_written, text)


def _written(match: re.Match[str]) -> str:
    if marks := match["marks"]:
        return f"$^{{{marks.translate(_LEVEL)}}}$"
    return f"${match[0]}$" if match["negative"] else _SPECIAL[match[0]]


def _environment(view: View) -> str:
    lines = [r"\begin{table}", r"  \centering", f"  \\caption{{{escape(view.caption)}}}"]
    if grid := view.grid:
        header, *rows = grid
        lines += [f"  \\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", r"    \toprule", _row(header), r"    \midrule"]
        lines += [*map(_row, rows), r"    \bottomrule", r"  \end{tabular}"]
    lines += [f"  \\par\\footnotesize {escape(note)}" for note in view.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _row(cells: Sequence[str]) -> str:
    first, *rest = cells
    if rest and not any(rest):  # a line between groups of rows
        return rf"    \midrule \multicolumn{{{len(cells)}}}{{l}}{{{escape(first)}}} \\"
    guard = "{}" if first.startswith(("[", "*")) else ""  # the row before ends in a command that would read these
    return f"    {guard}" + " & ".join([escape(first), *map(_cell, rest)]) + r" \\"


def _cell(text: str) -> str:
    """A cell behind the first: what is bold in markdown is bold here."""
    return _BOLD.sub(lambda match: f"\\textbf{{{match[1]}}}", escape(text))
