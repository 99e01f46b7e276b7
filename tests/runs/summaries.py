"""The summary.json of a trial, as `cass finetune` writes it, for tests that need no training."""

from __future__ import annotations

import json
from typing import Any

from cass_cli.runs.summary import TrialSummary
from cass_cli.saved import parse

JUDGEMENT = {
    **{"temperatures": {"cnn": 1.0, "vit": 1.5}, "thresholds": {}, "pick": "vit", "reason": "It is better."},
    **{"metric": "macro_f1", "flag_below": 0.5, "flag_rule": "flagged below 0.5", "notes": [], "weights": {}},
}
STARTED = {"start": "pretrained", "start_scores": {}}
ARMS = {
    arm: {"model": f"model-{arm}", "weights": "", "best_epoch": 1, "kept": "fine-tuned", "began": "", **STARTED}
    for arm in ("cnn", "vit")
}


def summary_json(**changes: Any) -> dict[str, Any]:
    """What a summary.json holds, with `changes`."""
    value = {
        **{"run": "runs/r", "variant": "pretrained-paper", "method": "cass", "init": "pretrained", "frozen": False},
        **{"fraction": 1.0, "seed": 0, "labels": 10, "classes": ["x", "y"], "multilabel": False, "metric": "macro_f1"},
        **{"epochs": 2, "seconds": 3.5, "device": "cpu", "precision": "fp32", "arms": ARMS, "judgement": JUDGEMENT},
        **{"images": {"val": 2, "test": 4}, "test_digest": "d", "validation": {}, "test": {}},
        **{
            "recipe": "paper",
            "unlabelled": "unused",
            "untold": 0,
            "guard": {},
            "set_aside": {},
            "members": {},
            "unseen": [],
            "untested": [],
            "fold": 0,
            "folds": 0,
        },
    }
    assert changes.keys() <= value.keys()
    read: dict[str, Any] = json.loads(json.dumps(value | changes))
    return read


def summary_of(**changes: Any) -> TrialSummary:
    """The same, read."""
    return parse(json.dumps(summary_json(**changes)), TrialSummary)
