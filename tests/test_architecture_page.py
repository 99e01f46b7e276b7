"""docs/architecture.md says what `test_layout.py` holds, and what it and CONTRIBUTING.md name is there."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.test_layout import CHAIN, ENGINE, ENGINE_FILES, FOUNDATION, INNER, ONLY, PACKAGE

REPO = PACKAGE.parent
PAGES = ("docs/architecture.md", "CONTRIBUTING.md")
PAGE = (REPO / PAGES[0]).read_text(encoding="utf-8")
GROUND = FOUNDATION - {"__init__"}  # which is the package itself
BEFORE = {room: ONLY.get(room, set(CHAIN[:place])) for place, room in enumerate(CHAIN)}

SUFFIXES = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".cff", ".j2"}
PATH = re.compile(r"([\w.-]+(?:/[\w.-]+)*/?)(?:::([\w.]+))?")
LINK = re.compile(r"\]\((?!\w+:)([^)#]+)")


def fenced(kind: str, text: str = PAGE) -> list[str]:
    """The blocks of code of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def drawn(diagram: str) -> dict[str, set[str]]:
    """All that lies before each name along the arrows of a flowchart; a box may hold several names."""
    names: dict[str, list[str]] = {}
    arrows: dict[str, set[str]] = {}
    for line in diagram.splitlines()[1:]:
        boxes = [re.fullmatch(r'\s*(\w+)(?:\["(.+)"\])?\s*', box) for box in line.split("-->")]
        found = [box.group(1, 2) for box in boxes if box]
        assert len(found) == len(boxes), line
        for i, (box, label) in enumerate(found):
            names[box] = label.split(", ") if label else names.get(box, [box])
            arrows.setdefault(box, set()).update(other for other, _ in found[i - 1 : i])
    before: dict[str, set[str]] = {}
    for box in TopologicalSorter(arrows).static_order():
        before[box] = {name for other in arrows[box] for name in (*names[other], *before[other])}
    return {name: before[box] for box in names for name in names[box]}


def table(number: int) -> dict[str, str]:
    """A table of the page, the first being 0: each name in a row's first cell, with its last cell."""
    lines = re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)[number].splitlines()
    rows = [line.strip("|").split("|") for line in lines[2:]]
    return {name: cells[-1] for cells in rows for name in quoted(cells[0])}


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_the_chain() -> None:
    line = fenced("")[0].strip()
    assert [set(room.split(", ")) for room in line.split(" → ")] == [GROUND, *({room} for room in CHAIN)]


def test_the_picture_of_the_rooms() -> None:
    reached: dict[str, set[str]] = {}
    for room in CHAIN:
        reached[room] = GROUND | BEFORE[room] | {name for other in BEFORE[room] for name in reached[other]}
    assert drawn(fenced("mermaid")[0]) == {**{name: set() for name in GROUND}, **reached}


def test_the_table_of_the_rooms() -> None:
    rows = {name: set(quoted(cell)) for name, cell in table(0).items()}
    assert rows == {**{name: set() for name in GROUND}, **BEFORE}
    assert list(rows)[-len(CHAIN) :] == list(CHAIN)


def test_the_rooms_of_data() -> None:
    assert drawn(fenced("mermaid")[1]) == INNER["data"]
    assert set(table(1)) == set(INNER["data"])


def test_the_files_of_layouts() -> None:
    assert set(table(2)) == {path.stem for path in (PACKAGE / "data" / "layouts").glob("[!_]*.py")}


def test_the_rooms_of_engine() -> None:
    picture = drawn(fenced("mermaid")[2])
    assert {
        name: before | (ENGINE_FILES if name in ENGINE_FILES else set()) for name, before in picture.items()
    } == ENGINE
    assert set(table(3)) == set(ENGINE)


def names_in(path: Path) -> set[str]:
    """What a file of Python defines at its top, and within its classes as `Class.name`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        found |= _defined(node)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for member in node.body for name in _defined(member)}
    return found


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


@pytest.mark.parametrize("page", PAGES)
def test_what_is_named_is_there(page: str) -> None:
    """Paths are the repository's, or below `cass_cli`; `path::name` is defined in that file."""
    text = (REPO / page).read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    named = [match.group(1, 2) for word in quoted(prose) if (match := PATH.fullmatch(word))]
    paths = [(path, name) for path, name in named if "/" in path or name or Path(path).suffix in SUFFIXES]
    assert len(paths) > 20
    for path, name in paths:
        place = next((root / path for root in (REPO, PACKAGE) if (root / path).exists()), None)
        assert place, f"{page} names {path}"
        assert not name or name in names_in(place), f"{page} names {path}::{name}"
    links = LINK.findall(prose)
    assert [link for link in links if not ((REPO / page).parent / link).exists()] == []
