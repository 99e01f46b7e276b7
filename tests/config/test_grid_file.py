"""Grid files: what is read of them, and what is told of those that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from cass_cli.config.grid_file import experiment_names, find_grid, read_grid, value_name
from cass_cli.errors import ConfigError

WHOLE = """
title: Batch size
source: Table 8
settings: {recipe: paper, finetune.guard: false, data: {image_size: 32}}
axes:
  data: {mine: {path: pictures, group_column: patient}, demo: {preset: demo}}
  method: [transfer, cass]
  train.batch_size: [8, 16]
  label_fraction: [0.1, 1]
  pretrain_seed: [0, 1]
exclude: [{data: mine, train.batch_size: 8}]
against: {method: transfer}
small: {settings: {train.epochs: 1}, axes: {data: [demo], pretrain_seed: [0]}}
paper: [{method: cass, train.batch_size: 8, cnn: 0.5}]
"""


def file(folder: Path, text: str) -> Path:
    path = folder / "table.yaml"
    path.write_text(text)
    return path


def test_short_names_sections_and_named_values_are_settings(tmp_path: Path) -> None:
    grid = read_grid(file(tmp_path, WHOLE))
    assert grid.settings == {"finetune.recipe": "paper", "finetune.guard": False, "data.image_size": 32}
    assert grid.axes["data"]["mine"] == {"data.path": "pictures", "data.group_column": "patient"}
    assert grid.axes["data"]["demo"] == {"preset": "demo"}
    assert grid.axes["method"] == {"transfer": {"method.name": "transfer"}, "cass": {"method.name": "cass"}}
    assert grid.axes["label_fraction"] == {"0.1": {"finetune.fractions": [0.1]}, "1": {"finetune.fractions": [1]}}
    assert (grid.name, grid.size, grid.exclude) == ("table", 32, ({"data": "mine", "train.batch_size": "8"},))


def test_the_small_variant_replaces_axes_and_adds_settings(tmp_path: Path) -> None:
    grid = read_grid(file(tmp_path, WHOLE), small=True)
    assert (grid.name, grid.size) == ("table-small", 8)
    assert grid.axes["data"] == {"demo": {"preset": "demo"}}
    assert grid.settings["train.epochs"] == 1
    assert grid.settings["data.image_size"] == 32


@pytest.mark.parametrize(
    ("value", "name"),
    [(0.1, "0.1"), (1, "1"), (1.0, "1"), (True, "true"), ("cass", "cass"), ([1, 2], "[1, 2]"), (None, "null")],
)
def test_values_are_called_as_they_are_written(value: object, name: str) -> None:
    assert value_name(value) == name


AXES = "axes: {method: [cass]}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it has no axes"),
        ("- a", "the file is no table"),
        ("axes: {method: [cass]", "is not valid YAML"),
        ("axs: {method: [cass]}", "the file has no 'axs'. Did you mean 'axes'"),
        ("axes: {metod: [cass]}", "no axis or setting 'metod'. Did you mean 'method'"),
        ("axes: {train.batchsize: [8]}", "Did you mean 'train.batch_size'"),
        ("axes: {method: []}", "axis method has no values"),
        ("axes: {method: [cass, cass]}", "axis method names a value twice"),
        ("axes: {data: [dermofitt]}", "no preset 'dermofitt'. Did you mean 'dermofit'"),
        ("axes: {data: {mine: {pth: x}}}", "no axis or setting 'data.pth'. Did you mean 'data.path'"),
        ("axes: {finetune.seeds: [5]}", "Name the seeds in the axis finetune_seed"),
        (f"{AXES}settings: {{finetune.folds: 5}}", "finetune.folds is no part of a grid"),
        (f"{AXES}exclude: [{{recipe: paper}}]", "exclude names 'recipe', which is no axis"),
        (f"{AXES}exclude: {{method: cass}}", "exclude is no list"),
        (f"{AXES}against: {{method: dino}}", "none of its values"),
        (f"{AXES}small: {{axis: {{}}}}", "small has no 'axis'. Did you mean 'axes'"),
        (
            "axes: {train.seed: ["
            + ", ".join(map(str, range(400)))
            + "], finetune.seed: ["
            + ", ".join(map(str, range(400)))
            + "]}",
            "160,000 cells",
        ),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_wrong_is_said(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_grid(file(tmp_path, text))
    assert said in f"{caught.value}"
    assert "table.yaml" in caught.value.what


def test_small_without_such_a_variant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no small variant"):
        read_grid(file(tmp_path, AXES), small=True)


def test_grids_of_the_paper_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_grid("table-8").name == "table-8.yaml"
    assert find_grid("mine.yaml") == Path("mine.yaml")
    names = experiment_names()
    assert names.index("table-3") < names.index("table-12")
    with pytest.raises(ConfigError, match="Did you mean 'table-8'"):
        find_grid("tabel-8")
    with pytest.raises(ConfigError, match="Cannot read"):
        read_grid(find_grid("mine.yaml"))
