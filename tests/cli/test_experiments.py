"""Two cells of every experiment that ships with cass, done at their smallest by their own command lines, and tabled.

The two are the grid's first and last, which differ on every axis. Runs are shared by the tables, as below one --runs.
`make experiments` does all of the small variants, whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cass_cli.cli.app import run
from cass_cli.config.grid_file import Grid, experiment_names, find_grid, read_grid
from cass_cli.config.load import read_saved
from cass_cli.engine.grid.cells import expand
from cass_cli.engine.grid.results import finished, results_of
from cass_cli.engine.grid.running import Records
from cass_cli.engine.grid.tasks import DONE, tasks_of
from cass_cli.engine.pretraining import plan
from cass_cli.reports.grid import write_results
from tests.cli.conftest import make_pictures

SMALLEST = {
    "arms.cnn": "test_byobnet",
    "arms.vit": "test_vit",
    "arms.output_stride": None,
    "data.image_size": 32,
    "finetune.batch_size": 8,
    "method.decoder_width": 32,
    "method.prototypes": 16,
    "train.device": "cpu",
    "train.precision": "fp32",
}
LIGHTER = {  # of the same kind
    "resnet10t": "test_byobnet",
    "resnet14t": "test_efficientnet",
    "vit_tiny_patch16_224": "test_vit",
    "vit_small_patch16_224": "test_vit2",
    "deit_tiny_patch16_224": "test_vit3",
}


@pytest.fixture(autouse=True, scope="module")
def _no_cost_is_counted() -> Iterator[None]:
    """What a step costs is half of a pretraining of three steps, and none of what is asked here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "count_cost", lambda _config: plan.Cost({"cnn": 0, "vit": 0}, 0, 0, 0.0))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiments")
    make_pictures(folder / "pictures")
    return folder


def smallest(name: str, pictures: Path) -> Grid:
    """Return the small variant with other pictures, and networks of the same kind in place of its own."""
    grid = read_grid(find_grid(name), small=True)
    axes = {
        axis: {
            label: {key: LIGHTER.get(str(value), value) for key, value in own.items()} for label, own in values.items()
        }
        for axis, values in grid.axes.items()
    }
    axes["data"] = {"demo": {"preset": "demo", "data.path": str(pictures)}}
    return replace(grid, settings={**grid.settings, **SMALLEST}, axes=axes)


@pytest.mark.parametrize("name", experiment_names())
def test_two_cells_of_an_experiment_are_done_and_tabled(name: str, folder: Path) -> None:
    grid, runs = smallest(name, folder / "pictures"), folder / "runs"
    cells = expand(grid)
    two = [cells[0], cells[-1]]
    for chain in tasks_of(grid, two, runs):
        for task in chain:
            assert task.state == DONE or run(task.command()) == 0
            assert task.state == DONE
            made, asked = read_saved(task.run.config).config, task.resolved.config
            assert made.arms == asked.arms
            if task.kind == "pretrain":
                assert (made.method, made.optim, made.augment) == (asked.method, asked.optim, asked.augment)
            if task.variant:
                tuned = read_saved(task.variant.config).config.finetune
                of_trials = {"seed": task.trials[0][1], "seeds": 1, "fractions": tuned.fractions}
                assert tuned == asked.finetune.model_copy(update=of_trials)
    assert len(finished(two, runs)) == 2
    found = finished(cells, runs)  # also those that another table has done
    write_results(grid, results_of(grid, found, cells), found, Records(folder / name))
    assert f"{len(found)} of {len(cells)} cells" in (folder / name / "table.md").read_text()
