"""The house rules that a machine can check: which room may enter which, and what may be done in it."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cass_cli"
EVERY_FILE = sorted(PACKAGE.rglob("*.py"))
MODULES = [path for path in EVERY_FILE if path.parent != PACKAGE]
FOUNDATION = {"errors", "seeds", "words", "lock", "files", "reading", "saved", "csv_cells", "places", "__init__"}

CHAIN = ("config", "data", "models", "methods", "scores", "runs", "engine", "reports", "api", "cli")
"""Every room may enter itself and the rooms before it, or those of them that stand in ONLY."""

ONLY = {"scores": {"data"}, "runs": {"config", "data", "scores"}}

DATA = (
    {"decode", "views", "corruptions", "phantom", "space", "slides"},
    {"frames"},
    {"layouts"},
    {"sets", "sample_table"},
    {"sources"},
    {"samples", "stratify", "fingerprints"},
    {"splits"},
    {"class_names", "metadata", "subgroups", "store", "duplicates"},
    {"dataset"},
    {"image_rows", "labelled_images"},
    {"inspection", "folds"},
)
"""Every inner room of data (a folder, or a file beside the folders) may enter itself and the floors below it."""

ENGINE_FILES = {
    *(
        "batches",
        "checkpoint",
        "compute",
        "device",
        "distributed",
        "inference",
        "job_step",
        "memory",
        "optimisers",
        "fastest",
        "features",
        "finite",
        "heads",
        "regression",
        "signals",
        "starting_arms",
        "state",
        "weight_files",
    ),
}
ENGINE = {
    **dict.fromkeys((*ENGINE_FILES, "pretraining", "finetuning", "looking"), ENGINE_FILES),
    "timing": {*ENGINE_FILES, "pretraining", "finetuning"},
    "reviewing": {*ENGINE_FILES, "finetuning", "looking"},
    "exporting": {*ENGINE_FILES, "finetuning"},
    "embedding": {*ENGINE_FILES, "finetuning", "looking"},
    "tiling": set(),
    "doctor": ENGINE_FILES,
    "grid": {*ENGINE_FILES, "pretraining", "finetuning", "timing"},
}
"""What every inner room of engine may enter besides itself."""

INNER = {
    "data": {name: set().union(*DATA[:floor]) for floor, names in enumerate(DATA) for name in names},
    "engine": ENGINE,
}


def imported(tree: Path | ast.AST) -> set[tuple[str, ...]]:
    """The modules and rooms of the package that a file imports, anywhere in it, as their parts below `cass_cli`."""
    found = set()
    for name in _imported_names(ast.parse(tree.read_text()) if isinstance(tree, Path) else tree):
        first, *parts = name.split(".")
        place = PACKAGE.joinpath(*parts)
        if first == "cass_cli" and parts and (place.with_suffix(".py").is_file() or place.is_dir()):
            found.add(tuple(parts))
    rooms = {parts[:end] for parts in found for end in range(1, len(parts))}  # named on the way to a module
    return found - rooms


def _imported_names(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, "imports are absolute"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _parts(path: Path) -> tuple[str, ...]:
    return path.relative_to(PACKAGE).with_suffix("").parts


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_flow_one_way(path: Path) -> None:
    room = _parts(path)[0]
    before = ONLY.get(room, set(CHAIN[: CHAIN.index(room)]))
    assert {parts[0] for parts in imported(path)} <= {room, *before, *FOUNDATION}


def test_the_package_itself_enters_the_api_alone_and_only_when_asked() -> None:
    """`import cass_cli` must not wait for torch: what stands under TYPE_CHECKING or in a function does not run then."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    assert {parts[0] for parts in imported(tree)} == {"api"}
    at_import = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name.split(".")[0] for node in at_import for name in _imported_names(node)}
    assert names == {"__future__", "importlib", "typing"}


def test_the_foundation_enters_no_room() -> None:
    for name in FOUNDATION - {"__init__"}:
        assert {parts[0] for parts in imported(PACKAGE / f"{name}.py")} <= FOUNDATION, name


def test_rooms_are_entered_by_their_modules() -> None:
    """No room is a module too: what it holds is imported from where it stands."""
    for path in MODULES:
        assert path.stem != "__init__" or path.read_text() == "", path
        assert not [parts for parts in imported(path) if PACKAGE.joinpath(*parts).is_dir()], path


@pytest.mark.parametrize("path", sorted((PACKAGE / "scores").glob("*.py")), ids=lambda path: path.name)
def test_scores_know_no_network_and_no_file(path: Path) -> None:
    outside = {name.split(".")[0] for name in _imported_names(ast.parse(path.read_text()))}
    assert not outside & {"torch", "timm", "pathlib", "os", "io", "json", "csv"}


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
    graph = {_parts(path): imported(path) - {_parts(path)} for path in EVERY_FILE}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize("path", EVERY_FILE, ids=name_of)
def test_only_cli_and_reports_print(path: Path) -> None:
    if _parts(path)[0] in ("cli", "reports"):
        return
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Name) and call.id in ("print", "exit")]


def test_command_modules_import_nothing_heavy() -> None:
    """`cass --help` must not wait for torch: at the top of cli/ only light modules may be imported."""
    heavy = {"torch", "timm", "numpy", "pandas", "sklearn", "rich", "yaml", "pydantic", "PIL", "matplotlib"}
    for path in (PACKAGE / "cli").glob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                node.body = []  # what is imported there is imported when the command runs
        assert not {name.split(".")[0] for name in _imported_names(tree)} & heavy, path.name
        assert {parts[0] for parts in imported(tree)} <= {"cli", "errors"}, path.name
