"""A damaged run is named, never believed, and never a fault of cass. All attacks are run by `make attack`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.mutations import (
    PAPER,
    PAPER_TRIAL,
    PROBE_TRIAL,
    RUN,
    STOPPED_TRIAL,
    Attack,
    Field,
    attacks,
    make_runs,
    run_attack,
)

QUICK = {  # attack → the command of those that read the file which is fastest
    f"{RUN}/config.yaml: empty": "latest",
    f"{RUN}/metrics.jsonl: a row is a list": "report",
    f"{RUN}/metrics.jsonl: the last row is cut": "report",
    f"{RUN}/summary.json: {{}}": "report",
    f"{RUN}/splits.csv: a row cut": "similarity",
    f"{RUN}/arms/cnn.safetensors: of another model": "similarity",
    f"{RUN}/checkpoints/last/state.pt: the epoch is -5": "resume",
    f"{RUN}/features/cnn-*/00000-*.npz: cut in half": "finetune-again",
    f"{PAPER}/config.yaml: an impossible date": "predict",
    f"{PAPER_TRIAL}/summary.json: []": "compare",
    f"{PAPER_TRIAL}/evaluation-test.json: UTF-16": "report",
    f"{PAPER_TRIAL}/arms/cnn.safetensors: cut in half": "predict",
    f"{PROBE_TRIAL}/arms/cnn-head.safetensors: of another arm": "predict-probe",
    f"{PROBE_TRIAL}/arms/joint-head.json: null": "predict-probe",
    f"{STOPPED_TRIAL}/metrics.jsonl: an epoch is text": "finetune-plan",
    f"{STOPPED_TRIAL}/checkpoints/last/state.pt: a weight of another shape": "finetune-resume",
    "latest: noise": "latest",
}


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Field:
    return Field(make_runs(tmp_path_factory.mktemp("damaged")))


def test_one_damage_of_each_kind_of_file(field: Field) -> None:
    every = {attack.name: attack for attack in attacks(field.pristine)}
    outcomes = [next(run_attack(field, every[name], commands=(command,))) for name, command in QUICK.items()]
    assert [(outcome.kind, outcome.attack, outcome.said) for outcome in outcomes if not outcome.good] == []
    assert {outcome.kind for outcome in outcomes} == {"told", "shown", "whole"}


def test_attacks_are_many_and_the_same_each_time(field: Field) -> None:
    first, second = ([attack.name for attack in attacks(field.pristine)] for _ in range(2))
    assert first == second
    assert len(set(first)) == len(first) > 150


def test_another_result_without_a_word_is_seen(field: Field) -> None:
    def flatter(path: Path) -> None:
        value = json.loads(path.read_text())
        value["test"]["cnn"]["macro_f1"] = 0.987
        path.write_text(json.dumps(value))

    file = f"{PAPER_TRIAL}/summary.json"
    outcomes = [*run_attack(field, Attack("a better score", file, flatter, ("compare",)))]
    outcomes += run_attack(field, Attack("nothing", file, lambda path: path.touch(), ("compare",)))
    assert [outcome.kind for outcome in outcomes] == ["silent", "whole"]
