"""From a grid to its cells, the runs behind them, and the commands that make these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cass_cli.config.grid_file import Grid, read_grid
from cass_cli.engine.grid.cells import UNDECIDING, expand
from cass_cli.engine.grid.tasks import BEGUN, DONE, OPEN, tasks_of
from cass_cli.engine.pretraining.request import FREE_ON_RESUME
from cass_cli.errors import ConfigError

SMALL: dict[str, Any] = {"data": "demo", "arms.init": "random", "arms.cnn": "test_resnet", "arms.vit": "test_vit"}


def grid(folder: Path, axes: dict[str, Any], **more: Any) -> Grid:
    settings = SMALL | more.pop("settings", {})
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump({"title": "a grid", "settings": settings, "axes": axes, **more}, sort_keys=False))
    return read_grid(path)


def test_one_pretraining_serves_all_fractions_recipes_and_seeds(tmp_path: Path) -> None:
    axes = {"label_fraction": [0.1, 1], "recipe": ["probe", "paper"], "finetune_seed": [0, 1, 2]}
    cells = expand(grid(tmp_path, {"method": ["cass"], **axes}))
    assert len(cells) == 12
    assert len({cell.variant.run.name for cell in cells}) == 1
    assert len({cell.variant.name for cell in cells}) == 2


def test_what_decides_nothing_makes_no_other_run(tmp_path: Path) -> None:
    (one,) = expand(grid(tmp_path, {"method": ["cass"]}))
    here = {"train.device": "cpu", "data.cache": "ram", "data.workers": 1, "train.batch_size": 16}
    (same,) = expand(grid(tmp_path, {"method": ["cass"]}, settings=here))  # 16 is the demo's own
    assert same.variant.run.name == one.variant.run.name
    (other,) = expand(grid(tmp_path, {"method": ["cass"]}, settings={"train.batch_size": 8}))
    assert other.variant.run.name != one.variant.run.name


def test_transfer_is_the_same_run_whatever_a_pretraining_would_be(tmp_path: Path) -> None:
    cells = expand(grid(tmp_path, {"method": ["transfer"], "train.batch_size": [8, 16], "optim.lr": [0.1, 0.01]}))
    assert len({cell.variant.run.name for cell in cells}) == 1
    assert cells[0].variant.run.init == "random"  # as its arms begin


def test_seeds_of_fine_tuning_follow_those_of_the_pretraining_unless_named(tmp_path: Path) -> None:
    cells = expand(grid(tmp_path, {"method": ["transfer", "cass"], "pretrain_seed": [0, 3]}))
    assert [cell.seed for cell in cells] == [0, 3, 0, 3]
    named = expand(grid(tmp_path, {"method": ["cass"], "pretrain_seed": [0, 3], "finetune_seed": [1]}))
    assert [cell.seed for cell in named] == [1, 1]


AXES = [{"augment.horizontal_flip": [0.0, 0.5]}, {"train.precision": ["fp32", "bf16"]}]


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_what_fine_tuning_uses_too_makes_another_transfer(axis: dict[str, Any], tmp_path: Path) -> None:
    asked = grid(tmp_path, {"method": ["transfer"], **axis})
    cells = expand(asked)
    assert len({cell.variant.run.name for cell in cells}) == 2
    ((first,), _) = tasks_of(asked, cells, tmp_path)
    assert f"--set {next(iter(axis))}=" in " ".join(first.command())


def test_what_decides_nothing_is_what_a_resumed_run_may_change() -> None:
    assert {*FREE_ON_RESUME} - {"train.epochs", "train.on_collapse"} == UNDECIDING


def test_the_example_of_the_page_can_be_done(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "grid.md").read_text()
    path = tmp_path / "grid.yaml"
    path.write_text(page.split("```yaml\n")[1].split("```")[0])
    assert len(expand(read_grid(path))) == 45  # of 54, nine are left out


def test_cells_of_a_run_lie_beside_each_other(tmp_path: Path) -> None:
    cells = expand(grid(tmp_path, {"label_fraction": [0.1, 1], "method": ["cass", "vicreg"]}))
    names = [cell.variant.run.name for cell in cells]
    assert names == sorted(names, key=names.index)
    assert [cell.fraction for cell in cells] == [0.1, 1, 0.1, 1]


def test_excluded_cells_are_left_out(tmp_path: Path) -> None:
    axes = {"method": ["cass", "mae"], "arms.vit": ["test_vit", "test_resnet"]}
    wrong = grid(tmp_path, {**axes, "method.arm": ["both", "cnn"]})
    with pytest.raises(ConfigError) as caught:
        expand(wrong)
    assert "cannot work" in caught.value.what
    assert "method cass, arms.vit test_vit, method.arm cnn: " in caught.value.what
    assert "exclude" in caught.value.hint
    axes["method"] = ["cass"]
    assert len(expand(grid(tmp_path, axes, exclude=[{"arms.vit": "test_resnet"}]))) == 1


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"label_fraction": [0]}, "not above 0"),
        ({"label_fraction": [1.5]}, "not above 0"),
        ({"finetune_seed": [-1]}, "no whole number"),
        ({"finetune_seed": ["a"]}, "no whole number"),
        ({"recipe": ["prob"]}, "finetune.recipe"),
        ({"finetune.probe_size": [64], "recipe": ["tuned"]}, "has no part in the recipe tuned"),
        ({"method": ["transfer"], "finetune.init": ["pretrained"]}, "transfer has no arms"),
    ],
    ids=str,
)
def test_a_cell_that_cannot_work_is_told_before_anything_is_run(
    axes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="cannot work") as caught:
        expand(grid(tmp_path, axes))
    assert said in caught.value.what


def test_data_have_to_be_named(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text("axes: {method: [cass]}")
    with pytest.raises(ConfigError, match="no data are named"):
        expand(read_grid(path))


def test_commands_go_on_as_things_lie(tmp_path: Path) -> None:
    asked = grid(tmp_path, {"method": ["cass"], "label_fraction": [0.1, 1], "finetune_seed": [0, 1, 5]}, evaluate=True)
    (chain,) = tasks_of(asked, expand(asked), tmp_path)
    kinds = [task.kind for task in chain]
    assert kinds == ["pretrain", "finetune", "finetune", *["evaluate"] * 6]  # seeds 0 and 1 by one command
    pretrain, first, second = chain[:3]
    assert [task.state for task in chain] == [OPEN] * 9
    assert pretrain.command()[:3] == ["pretrain", "--preset", "demo"]
    assert '--set method.name="cass"' in " ".join(pretrain.command())
    assert "--seed 0 --seeds 2" in " ".join(first.command())
    assert "--seed 5 --seeds 1" in " ".join(second.command())
    assert "--label-fraction 0.1,1" in " ".join(second.command())
    assert (len(first.cells), len(second.cells)) == (4, 2)
    pretrain.run.path.mkdir()
    assert pretrain.state == BEGUN
    pretrain.run.config.touch()
    assert pretrain.command()[:2] == ["pretrain", "--resume"]
    pretrain.run.summary.touch()
    assert pretrain.state == DONE
    for trial in first.all_trials():
        assert first.state == (OPEN if trial == first.all_trials()[0] else BEGUN)
        trial.path.mkdir(parents=True)
        trial.files.summary.touch()
    assert first.state == DONE
    assert second.state == BEGUN  # of the same fine-tuning
    assert second.command()[-2:] == ["--resume", "--json"]
    assert chain[3].state == OPEN


def test_transfer_makes_its_run_by_the_first_fine_tuning(tmp_path: Path) -> None:
    asked = grid(tmp_path, {"method": ["transfer"]})
    ((task,),) = tasks_of(asked, expand(asked), tmp_path)
    assert "--name" in task.command()
    assert "--run" not in task.command()
    task.run.path.mkdir()
    task.run.config.touch()
    assert "--run" in task.command()
    assert "--preset" not in task.command()
