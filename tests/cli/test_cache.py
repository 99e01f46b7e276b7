from __future__ import annotations

import json
from pathlib import Path

import pytest

from cass_cli.cli.app import run
from cass_cli.data.sources import load_samples
from cass_cli.data.store.store import build_store


@pytest.fixture
def cached(class_folders: Path) -> Path:
    build_store(load_samples(class_folders), size=16, mode="disk")
    return class_folders


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["cache", *arguments]) == 0
    return capsys.readouterr().out


def test_list_names_the_folder_the_images_came_from(cached: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "list", "--json"))
    (entry,) = found["caches"]
    assert (entry["root"], entry["images"], entry["size"], entry["complete"]) == (str(cached), 40, 16, True)
    assert found["bytes"] == Path(entry["path"]).stat().st_size
    assert "16 × 16" in printed(capsys)


def test_clear_frees_what_was_listed(cached: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cached
    assert json.loads(printed(capsys, "clear", "--partial", "--json"))["freed_bytes"] == 0
    assert json.loads(printed(capsys, "clear", "--unused-days", "1", "--json")) == {"freed_bytes": 0, "left": 1}
    size = json.loads(printed(capsys, "list", "--json"))["bytes"]
    assert json.loads(printed(capsys, "clear", "--json")) == {"freed_bytes": size, "left": 0}
    assert "No decoded images" in printed(capsys, "list")
