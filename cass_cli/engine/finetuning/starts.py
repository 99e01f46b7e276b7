"""Which start suits an arm better, as it was pretrained or as it was before: asked of the labels that are seen.

Of each start the probe is fitted to the same labels, and judged on the same held-out folds of them
(`engine/regression.py`). Neither validation nor test images have a say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.config.schema import StartName
from cass_cli.engine.finetuning.probe import read_features
from cass_cli.engine.finetuning.shared import Job, Watcher
from cass_cli.engine.regression import fit_regression
from cass_cli.engine.signals import StopRequest
from cass_cli.models.arms import Arm

STARTS: tuple[StartName, StartName] = ("imagenet", "pretrained")


@dataclass(frozen=True)
class Start:
    """What an arm of a trial begins with."""

    body: Arm
    name: StartName
    scores: Mapping[str, float]  # of each start on held-out folds, where there were two; {} where there was one

    @property
    def reason(self) -> str:
        """Say which of two starts was taken and why."""
        told = ", ".join(f"{name} {score:.3f}" for name, score in self.scores.items())
        return f"starts from {self.name} ({f'held-out labels: {told}' if told else 'too few labels to choose by'})"


def choose_starts(
    job: Job, subset: NDArray[np.int64], watch: Watcher, stop: StopRequest, *, seed: int
) -> dict[str, Start]:
    """Return for each arm of the job the start whose probe answers held-out images of `subset` better.

    Where the labels cannot tell, because they are too few for folds or both answer alike, an arm begins as it was
    before the pretraining.
    """
    found: dict[str, Start] = {}
    rows = job.images.readable(subset)
    for name, body in job.bodies.items():
        rival = job.rivals.get(name)
        if rival is None:
            found[name] = Start(body, "pretrained" if job.began.get(name) else "imagenet", {})
            continue
        scores: dict[str, float] = {}
        for start, arm in zip(STARTS, (rival, body), strict=True):
            features = read_features(job, {name: arm}, job.data, rows, watch, stop)[name]
            fitted = fit_regression(
                features.of(rows),
                job.data.labels[rows],
                len(job.data.table.classes),
                widths=features.widths,
                groups=job.data.groups(rows),
                seed=seed,
            )
            stop.check()
            score = fitted.scores.get(fitted.inverse_l2, np.nan)  # undefined where no held-out label tells
            if np.isfinite(score):
                scores[start] = float(score)
        scores = scores if len(scores) == len(STARTS) else {}
        better = bool(scores) and scores["pretrained"] > scores["imagenet"]
        found[name] = Start(body, "pretrained", scores) if better else Start(rival, "imagenet", scores)
    return found


def begun_starts(job: Job, saved: Mapping[str, Any]) -> dict[str, Start]:
    """Return the starts that an interrupted trial had chosen, as its checkpoint tells."""
    of = {
        name: job.rivals.get(name, body) if saved[name]["name"] == "imagenet" else body
        for name, body in job.bodies.items()
    }
    return {name: Start(body, saved[name]["name"], saved[name]["scores"]) for name, body in of.items()}
