"""A trial's summary.json and the value that it becomes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cass_cli.errors import RunError
from cass_cli.files import write_json
from cass_cli.runs.summary import TrialSummary, read_summary
from cass_cli.saved import parse
from tests.runs.summaries import ARMS, JUDGEMENT, summary_json, summary_of

SCORES = {"cnn": {"macro_f1": 0.5, "auroc": None}, "vit": {"macro_f1": 0.75, "auroc": 1.0}}


def test_what_is_read_is_written_again_to_the_byte(tmp_path: Path) -> None:
    path, again = tmp_path / "summary.json", tmp_path / "again.json"
    write_json(path, summary_json(fraction=0.01, seed=3, validation=SCORES, test=SCORES))
    write_json(again, read_summary(path).as_dict())
    assert again.read_bytes() == path.read_bytes()


def test_values_have_their_types() -> None:
    summary = summary_of(test=SCORES)
    assert summary.classes == ("x", "y")
    assert (summary.arms["vit"].model, summary.judgement.pick) == ("model-vit", "vit")
    assert summary.test["cnn"]["auroc"] is None


def test_what_a_later_version_adds_is_left_out() -> None:
    later = summary_json(judgement=JUDGEMENT | {"later": 1}) | {"later": {"more": 1}}
    later["arms"]["cnn"]["later"] = 1
    assert parse(json.dumps(later), TrialSummary) == summary_of()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"run": "r"', "it holds no JSON"),
        ("[]", r"it should be an object, not \[\]"),
        ("null", "it should be an object, not None"),
        (json.dumps(summary_json(judgement={"pick": "cnn"})), r"judgement\.temperatures is missing; .* and 3 more"),
        (json.dumps(summary_json(arms=["cnn"])), r"arms should be an object, not \['cnn'\]"),
        (json.dumps({k: v for k, v in summary_json().items() if k != "test"}), "test is missing"),
        (json.dumps(summary_json(seed="0")), "seed should be a valid integer, not '0'"),
        (json.dumps(summary_json(seconds=float("nan"))), "seconds should be a finite number"),
        (json.dumps(summary_json(init="elsewhere")), "init should be 'pretrained'"),
        (json.dumps(summary_json(metric="luck")), "there is no metric luck"),
        (json.dumps(summary_json(arms={"cnn": ARMS["cnn"]})), r"the arms are \['cnn'\]"),
        (json.dumps(summary_json(judgement=JUDGEMENT | {"pick": "joint"})), "judgement.pick is 'joint'"),
        (json.dumps(summary_json(judgement=JUDGEMENT | {"thresholds": {"cnn": [0.5]}})), "judgement.thresholds"),
        (json.dumps(summary_json(arms=ARMS | {"cnn": ARMS["cnn"] | {"kept": "none"}})), "arms.cnn.kept is 'none'"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "summary.json"
    path.write_text(text)
    with pytest.raises(RunError, match=message) as raised:
        read_summary(path)
    assert raised.value.what.startswith(str(path))
    assert raised.value.hint == "Fine-tune again."


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        read_summary(tmp_path / "summary.json")
