"""Lines of a page that are filled in from the file that they link to, so that nothing is typed twice.

    [Table: answers](../benchmarks/results/M/answers.json)   a table of `tables.py`, made from this file or folder
    [Table 2](../benchmarks/results/M/answers.md)            the second table of a Markdown file, as it is there
    [Output](captured/pretrain.txt)                          what a command printed, see `capture.py`
    [Equation](../cass_cli/methods/cass.py)                  the docstring on top of a file of Python, below a link
    [Reference: settings](../cass_cli/config/schema.py)      a part of `reference.py`

Such a line stands alone. On GitHub it is a link to the file.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Callable

from docs.tools.places import REPO
from docs.tools.reference import PARTS
from docs.tools.tables import TABLES

FILLED = re.compile(r"^\[(Table|Output|Equation|Reference)(?:: ([\w-]+)| (\d+))?\]\(([^)\s]+)\)$", re.MULTILINE)


def filled(text: str, source: str) -> str:
    """Return the Markdown `text` of the file `source` (a path in the repository) with its lines filled in."""

    def fill(match: re.Match[str]) -> str:
        kind, name, number, link = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
        if number:
            return nth_table(path, int(number))
        return FILL[kind](name or "", path, link)

    return FILLED.sub(fill, text)


def nth_table(path: str, number: int) -> str:
    """Return the table of a Markdown file that is its `number`th, the first being 1."""
    text = (REPO / path).read_text(encoding="utf-8")
    return re.findall(r"(?:^\|.*(?:\n|\Z))+", text, re.MULTILINE)[number - 1].rstrip()


def _table(name: str, path: str, link: str) -> str:
    return f"{TABLES[name](REPO / path)}\n\n[Where these numbers are]({link})"


def _output(_name: str, path: str, _link: str) -> str:
    return f"```text\n{(REPO / path).read_text(encoding='utf-8').rstrip()}\n```"


def _equation(_name: str, path: str, link: str) -> str:
    told = ast.get_docstring(ast.parse((REPO / path).read_text(encoding="utf-8")))
    assert told, path
    return f"[`{path}`]({link}):\n\n```text\n{told}\n```"


def _reference(name: str, _path: str, _link: str) -> str:
    return PARTS[name]()


FILL: dict[str, Callable[[str, str, str], str]] = {
    "Table": _table,
    "Output": _output,
    "Equation": _equation,
    "Reference": _reference,
}
