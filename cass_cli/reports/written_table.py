"""A table with its legend and what it allows to say, as Markdown and as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cass_cli.places import without_places
from cass_cli.words import shown

MOST_LETTERS = 2000  # of a sentence


@dataclass(frozen=True)
class Written:
    """A table as a file has it: its title, its rows with the header first, what it is, and what it allows to say."""

    title: str
    rows: list[list[str]]
    legend: str
    said: tuple[str, ...]
    names: int = 2  # columns of words before those of numbers


def markdown(table: Written) -> str:
    """Return it as Markdown, the sentences as a list below it."""
    header, *rows = table.rows
    rule = "|" + "---|" * table.names + "---:|" * (len(header) - table.names)
    lines = [table.title, "", _pipes(header), rule, *map(_pipes, rows)]
    return "\n".join([*lines, "", table.legend, "", *(f"- {plain(said)}" for said in table.said)]) + "\n"


def latex(table: Written) -> str:
    r"""Return it as a LaTeX tabular (package booktabs), the sentences as comments below it."""
    header, *rows = table.rows
    body = [_ampersands(header), r"\midrule", *(_ampersands(row) for row in rows)]
    lines = [
        r"\begin{tabular}{" + "l" * table.names + "r" * (len(header) - table.names) + "}",
        r"\toprule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    said = (table.title, table.legend, *table.said)
    return "\n".join([*lines, *(f"% {_leaving(line)}" for line in said)]) + "\n"


def _pipes(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(plain, cells)) + " |"


def plain(text: str) -> str:
    """Return text that Markdown shows as it stands, on one line."""
    return re.sub(r"[\\`*|\[\]<>&~]", r"\\\g<0>", _leaving(text))


def _leaving(text: str) -> str:
    """Return text on one line, without folders of this machine."""
    return shown(without_places(text), MOST_LETTERS)


def _ampersands(cells: Sequence[str]) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "±": r"$\pm$",
        "–": "--",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{c: f"\\{c}" for c in "&%$#_{}"},
    }
    escaped = ("".join(special.get(letter, letter) for letter in _leaving(cell)) for cell in cells)
    return " & ".join(escaped) + r" \\"
