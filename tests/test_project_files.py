"""Files that other programs read: GitHub's forms for issues, and the hooks of pre-commit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.test_layout import PACKAGE

REPO = PACKAGE.parent
FORMS = sorted((REPO / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
FIELDS = {"input", "textarea", "checkboxes", "dropdown", "markdown"}


def test_there_are_forms() -> None:
    assert {path.stem for path in FORMS} == {"bug", "misread_data"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_github_can_read_the_form(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert all(form[key] for key in ("name", "description", "body"))
    assert {field["type"] for field in form["body"]} <= FIELDS
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["attributes"]["label"] for field in asked)
    ids = [field["id"] for field in asked]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"[\w-]+", name) for name in ids)
    assert any(field.get("validations", {}).get("required") for field in asked)
    assert "patients" in path.read_text(encoding="utf-8")


def test_the_hooks_run_what_make_check_runs() -> None:
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    hooks = yaml.safe_load((REPO / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    assert [hook["entry"] for hook in hooks[0]["hooks"]] == commands
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks[0]["hooks"])
