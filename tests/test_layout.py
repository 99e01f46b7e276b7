"""The house rules that a machine can check: which room may enter which, and what may be done in it."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cass_cli"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)
FOUNDATION = {"errors", "seeds", "words", "lock", "__init__"}

CHAIN = ("config", "data", "models", "methods", "scores", "runs", "engine", "reports", "cli")
"""Every room may enter itself and the rooms before it."""

DATA = (
    {"decode", "views", "phantom", "space"},
    {"layouts"},
    {"sources"},
    {"samples", "stratify"},
    {"splits"},
    {"store", "duplicates"},
    {"dataset"},
    {"image_rows", "labelled_images"},
    {"inspection"},
)
"""Every inner room of data (a folder, or a file beside the folders) may enter itself and the floors below it."""

ENGINE_FILES = {
    *(
        "batches",
        "checkpoint",
        "device",
        "distributed",
        "inference",
        "optimisers",
        "precision",
        "signals",
        "starting_arms",
    ),
}
ENGINE = {
    **dict.fromkeys((*ENGINE_FILES, "pretraining", "finetuning", "looking"), ENGINE_FILES),
    "timing": {*ENGINE_FILES, "pretraining"},
}
"""What every inner room of engine may enter besides itself."""

INNER = {
    "data": {name: set().union(*DATA[:floor]) for floor, names in enumerate(DATA) for name in names},
    "engine": ENGINE,
}


def imported(path: Path) -> set[tuple[str, ...]]:
    """The modules of the package that a file imports, anywhere in it, as their parts below `cass_cli`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found |= {module for name in names if (module := _module(name)) is not None}
    return found


def _module(name: str) -> tuple[str, ...] | None:
    """The parts of a module's name, None for what is no module of the package."""
    first, *parts = name.split(".")
    return tuple(parts) if first == "cass_cli" and PACKAGE.joinpath(*parts).with_suffix(".py").is_file() else None


def _parts(path: Path) -> tuple[str, ...]:
    return path.relative_to(PACKAGE).with_suffix("").parts


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_flow_one_way(path: Path) -> None:
    room = _parts(path)[0]
    allowed = {*CHAIN[: CHAIN.index(room) + 1], *FOUNDATION}
    assert {parts[0] for parts in imported(path)} <= allowed


@pytest.mark.parametrize("room", INNER)
def test_inner_rooms_flow_one_way(room: str) -> None:
    may_enter = INNER[room]
    paths = [path for path in MODULES if _parts(path)[0] == room and path != PACKAGE / room / "__init__.py"]
    assert {_parts(path)[1] for path in paths} == set(may_enter), "what is new here needs its place above"
    wrong = [
        f"{name_of(path)} imports {'.'.join(parts)}"
        for path in paths
        for parts in imported(path)
        if parts[0] == room and parts[1] not in {_parts(path)[1], *may_enter[_parts(path)[1]]}
    ]
    assert wrong == []


def test_there_is_no_circle() -> None:
    """Neither at import nor by an import within a function."""
    graph = {_parts(path): imported(path) - {_parts(path)} for path in PACKAGE.rglob("*.py")}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_cli_and_reports_print(path: Path) -> None:
    if _parts(path)[0] in ("cli", "reports"):
        return
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Name) and call.id in ("print", "exit")]


def test_command_modules_import_nothing_heavy() -> None:
    """`cass --help` must not wait for torch: at the top of cli/ only light modules may be imported."""
    heavy = {"torch", "timm", "numpy", "pandas", "sklearn", "rich", "yaml", "pydantic", "PIL", "matplotlib"}
    for path in (PACKAGE / "cli").glob("*.py"):
        top = ast.Module([n for n in ast.parse(path.read_text()).body if not isinstance(n, ast.FunctionDef)], [])
        names = {n.module or "" for n in top.body if isinstance(n, ast.ImportFrom)}
        names |= {alias.name for n in top.body if isinstance(n, ast.Import) for alias in n.names}
        assert not {name.split(".")[0] for name in names} & heavy, path.name
        assert not {n for n in names if n.startswith("cass_cli.")} - {
            n for n in names if n.startswith(("cass_cli.cli", "cass_cli.errors"))
        }, path.name
