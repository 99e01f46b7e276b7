"""What every command that looks into arms starts from: networks, what they are compared with, images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from cass_cli.config.schema import ArmName
from cass_cli.engine.device import choose_device
from cass_cli.engine.looking.sample import ImageSample, SampleRequest, sample_of_paths, sample_of_run
from cass_cli.engine.looking.shown import Shown, arms_of_run, compared_arms, saved_settings
from cass_cli.errors import RunError, did_you_mean
from cass_cli.runs.directory import Run
from cass_cli.runs.trials import Trial

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Look:
    """What every command that looks into arms starts from."""

    run: Path  # a run, or a trial of its fine-tuning
    sample: ImageSample
    before: Mapping[ArmName, Shown]  # what is compared with; may lack arms, or be empty
    after: Mapping[ArmName, Shown]
    device: torch.device
    split: str  # "test", or "" for pictures of the user's own

    def models(self) -> list[Shown]:
        """Return all networks, an arm's before its after."""
        return [m for arm in self.after for m in (self.before.get(arm), self.after[arm]) if m is not None]


def look_at(
    of: Run | Trial,
    asked: SampleRequest,
    *,
    runs: Path,
    compare: str = "start",
    averaged: bool = False,
    arm: str | None = None,
    device: str | None = None,
) -> Look:
    """Load the arms of a run, or of a trial of its fine-tuning, what they are compared with, and the images asked for.

    `arm` leaves one arm; another run to `compare` with is looked for in `runs`, beside this one, and here. It is shown
    the images as this one takes them: squashed, padded or cropped alike.
    """
    run, files = (of.variant.run, of.files) if isinstance(of, Trial) else (of, of)
    resolved = saved_settings(run, asked.settings)
    arms = arms_of_run(files, averaged=averaged)
    if arm is not None and arm not in arms:
        raise RunError(
            f"{files.path} has no arm '{arm}'.{did_you_mean(arm, list(arms))}", hint=f"Arms: {', '.join(arms)}."
        )
    after = {name: shown for name, shown in arms.items() if arm in (None, name)}
    before = compared_arms(compare, of, resolved, after, runs=runs, averaged=averaged)
    paths, data = asked.paths, resolved.config.data
    return Look(
        run=files.path,
        sample=sample_of_paths(paths, data) if paths else sample_of_run(run, resolved, asked),
        before={name: shown.seeing_as(after[name]) for name, shown in before.items()},
        after=after,
        device=choose_device(device or resolved.config.train.device),
        split="" if asked.paths else asked.split,
    )


def part_of(on_progress: Progress, before: int, total: int) -> Callable[[int], None]:
    """Return what tells `on_progress` how far a part has come that begins when `before` of `total` are done."""
    return lambda done: on_progress(before + done, total)
