"""The flow of images and patients, against a table whose every row is counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cass_cli.errors import DataError
from cass_cli.runs.directory import Run
from cass_cli.runs.flow import COULD_NOT_BE_READ, NO_LABEL, Part, flow_of, subgroup_columns
from cass_cli.runs.names import find
from cass_cli.runs.trials import Trial
from tests.reports.runs_on_disk import add_trial, write_run

ROWS = """image,split,label,group,status
a.png,train,cat,p1,ok
b.png,train,cat,p1,ok
c.png,train,,p2,ok
d.png,train,dog,p3,unreadable: it is cut off
e.png,val,dog,p4,ok
f.png,test,cat,p5,ok
g.png,test,dog,p5,ok
h.png,test,dog,,unreadable: it is empty
i.png,,,,left out: no such file
j.png,,,,left out: no such file
k.png,,,,left out: not in labels.csv
"""


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    run = write_run(tmp_path / "one")
    add_trial(run)
    (run / "splits.csv").write_text(ROWS)
    return find(tmp_path, "one").trial()


def test_every_row_is_somewhere(trial: Trial) -> None:
    flow = flow_of(trial)
    assert flow.found == Part(11, 5)
    assert flow.left_out == {"no such file": Part(2, 0), "not in labels.csv": Part(1, 0)}
    assert flow.splits == {"train": Part(4, 3), "val": Part(1, 1), "test": Part(3, 1)}
    assert flow.excluded["train"] == {COULD_NOT_BE_READ: Part(1, 1), NO_LABEL: Part(1, 1)}
    assert flow.excluded["test"] == {COULD_NOT_BE_READ: Part(1, 0)}
    assert flow.used == {"train": Part(2, 1), "val": Part(1, 1), "test": Part(2, 1)}
    assert flow.seen == 4 and flow.grouped
    for split, part in flow.splits.items():
        assert part.images == flow.used[split].images + sum(p.images for p in flow.excluded[split].values())
    assert flow.found.images == sum(p.images for of in (flow.splits, flow.left_out) for p in of.values())


def test_what_has_a_label_the_fine_tuning_recorded(trial: Trial) -> None:
    """An image of which all classes are known to be absent has a label, though no class is named."""
    images = {name: [1, 1, ""] for name in ("a.png", "c.png")}
    record = {"images": images, "labels": {"a.png": "cat", "c.png": ""}}
    (trial.variant.path / "images.json").write_text(json.dumps(record))
    assert flow_of(trial).excluded["train"] == {COULD_NOT_BE_READ: Part(1, 1), NO_LABEL: Part(1, 1)}
    assert flow_of(trial).used["train"] == Part(2, 2), "a and c"


def test_subgroups_are_columns_without_values(trial: Trial) -> None:
    assert subgroup_columns(trial) == {}
    run = Run(trial.variant.run.path)
    run.subgroups.write_text("image,group,sex,age\na.png,p1,f,50\nb.png,p1,f,61\nc.png,p2,,70\n")
    assert subgroup_columns(trial) == {"sex": 1, "age": 3}


def test_a_damaged_table_is_named(trial: Trial) -> None:
    trial.variant.run.splits.write_text("image\n")
    with pytest.raises(DataError, match="splits"):
        flow_of(trial)
