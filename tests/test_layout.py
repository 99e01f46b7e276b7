"""The house rules that a machine can check."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cass_cli"
ORDER = ("config", "data", "models", "methods", "engine", "reports", "cli")
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def _imported(tree: ast.AST) -> set[str]:
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("cass_cli.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_flow_one_way(path: Path) -> None:
    package = path.relative_to(PACKAGE).parts[0]
    allowed = {*ORDER[: ORDER.index(package) + 1], "errors"}
    assert _imported(ast.parse(path.read_text())) <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_cli_and_reports_print(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] in ("cli", "reports"):
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
