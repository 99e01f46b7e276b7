"""Weights & Biases: offline beside the runs, where `wandb sync` finds it; online where the environment says so.

Offline every process leaves a folder of its own, and nothing but the server would put them together. So one that goes
on tells the whole curve again, and the folders before it go: each curve is one folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from cass_cli.data.space import default_cache_dir
from cass_cli.reports.trackers.tracker import PROJECT, Begun, Curve, Told

PRIVATE = {  # what it would record of the machine, the program and the user
    **{"host": "", "username": "", "email": "", "program": PROJECT, "console": "off", "save_code": False},
    **dict.fromkeys(("disable_git", "disable_code", "disable_job_creation"), True),
    **dict.fromkeys(("x_disable_meta", "x_disable_stats", "x_disable_machine_info"), True),
    **{"x_save_requirements": False, "symlink": False},
}


class WandB:
    """Keeps a curve as a run of the project `cass`, or of $WANDB_PROJECT."""

    def begin(self, curve: Curve, told: Told) -> Begun:
        """Begin a folder or, online, go on with what the server has."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_CACHE_DIR", str(default_cache_dir() / "wandb"))  # of its own log
        import wandb

        mode = os.environ.get("WANDB_MODE", "offline")
        folder = Path(os.environ.get("WANDB_DIR", curve.runs)).absolute()
        resumed = bool(told["id"]) and mode == "online"
        name = told["id"] or uuid4().hex[:12]
        self.run = wandb.init(
            id=name,
            name=curve.name,
            group=curve.run,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=folder,
            config=dict(curve.settings),
            resume="allow" if resumed else None,
            reinit="create_new",  # a notebook may have one of its own
            settings=wandb.Settings(mode=mode, silent=True, **PRIVATE),
        )
        if mode == "offline":
            own = Path(self.run.dir).parent
            for earlier in set(own.parent.glob(f"offline-run-*-{name}")) - {own}:
                shutil.rmtree(earlier, ignore_errors=True)
            return Begun(name, 0, f"Weights & Biases keeps the curves in {own.parent}: offline, until wandb sync")
        return Begun(
            name, max(0, self.run.step - 1) if resumed else 0, f"Weights & Biases is {mode}, as WANDB_MODE says"
        )

    def point(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write a value a curve."""
        self.run.log(dict(values), step=epoch, commit=True)

    def end(self, epoch: int, scores: Mapping[str, float] | None) -> None:  # noqa: ARG002  # a summary has no step
        """Write the scores into the summary, and close the run."""
        self.run.summary.update(dict(scores or {}))
        self.run.finish(exit_code=1 if scores is None else 0)
