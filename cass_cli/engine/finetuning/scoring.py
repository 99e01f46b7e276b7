"""What trained arms answer for the validation and test images, which takes minutes where there are thousands."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cass_cli.engine.finetuning.session import Tuning, outputs
from cass_cli.engine.finetuning.shared import Job, Watcher
from cass_cli.engine.signals import StopRequest
from cass_cli.scores.values import Floats


def answers_of(
    job: Job, t: Tuning, splits: Mapping[str, NDArray[np.int64]], watch: Watcher, stop: StopRequest
) -> dict[str, dict[str, Floats]]:
    """Return what each arm answers, fp64 [N, C], for the rows of each split; all images are counted together.

    Raises `Interrupted` for `stop` between two batches: the epochs are saved by then.
    """
    total, before = sum(map(len, splits.values())), 0

    def scored(done: int, _of: int) -> None:
        watch.scoring(before + done, total)
        stop.check()

    found = {}
    for split, rows in splits.items():
        found[split] = outputs(t, list(t.arms), job.images.of(rows), on_scored=scored)
        before += len(rows)
    return found
