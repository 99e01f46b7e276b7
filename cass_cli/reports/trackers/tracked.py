"""Trainings that trackers follow: a watcher before the watcher, to which all is passed on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cass_cli.config.load import read_saved
from cass_cli.config.schema import TrackerName
from cass_cli.engine.finetuning import shared as finetuning
from cass_cli.engine.finetuning.loop import TuneEpoch
from cass_cli.engine.pretraining import job as pretraining
from cass_cli.engine.pretraining.loop import EpochStats
from cass_cli.engine.pretraining.plan import Plan
from cass_cli.engine.pretraining.session import Session
from cass_cli.reports.trackers.followed import Followed
from cass_cli.reports.trackers.tracker import Curve, numbers, settings_of
from cass_cli.runs.directory import Run
from cass_cli.runs.rows import EpochRow, TrialRow
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, Variant


@contextmanager
def tracked_pretraining(watch: pretraining.Watcher, names: Sequence[TrackerName]) -> Iterator[pretraining.Watcher]:
    """Yield a watcher of a pretraining that also tells the trackers `names`, or `watch` itself without any."""
    followed = Followed(names, note=watch.note, warn=watch.warn)
    try:
        yield TrackedPretraining(watch, followed) if names else watch
    finally:
        followed.leave()


@contextmanager
def tracked_finetuning(
    watch: finetuning.Watcher, names: Sequence[TrackerName], variant: Variant
) -> Iterator[finetuning.Watcher]:
    """Yield a watcher of the trials of `variant` that also tells the trackers `names`, or `watch` itself."""
    followed = Followed(names, note=watch.note, warn=watch.warn)
    try:
        yield TrackedFinetuning(watch, followed, variant) if names else watch
    finally:
        followed.leave()


class TrackedPretraining:
    """A pretraining is one curve."""

    def __init__(self, watch: pretraining.Watcher, followed: Followed) -> None:
        self.watch, self.followed = watch, followed
        self.note, self.warn, self.doing, self.step = watch.note, watch.warn, watch.doing, watch.step
        self.decoding, self.fingerprinting, self.reading = watch.decoding, watch.fingerprinting, watch.reading

    def started(self, session: Session, plan: Plan, run: Run) -> None:
        """Go on with the curve of the run."""
        self.watch.started(session, plan, run)
        name, runs = run.path.name, run.path.parent

        def curve() -> Curve:
            settings = settings_of(read_saved(run.config).config, without=["finetune"])
            return Curve(run.path, runs, name, name, settings, session.epoch)

        self.followed.begin(run, curve, EpochRow)

    def epoch(self, stats: EpochStats) -> None:
        """Tell of an epoch, once it is saved."""
        self.watch.epoch(stats)
        self.followed.epoch(stats.row())

    def saved(self) -> None:
        """Tell of what is saved."""
        self.watch.saved()
        self.followed.saved()

    def finished(self, result: pretraining.PretrainResult) -> None:
        """Tell whether it helped, if that is known."""
        self.watch.finished(result)
        self.followed.finish(result.epochs, numbers({"advice": result.advice.as_dict()} if result.advice else {}))


class TrackedFinetuning:
    """Every trial is a curve of its own."""

    def __init__(self, watch: finetuning.Watcher, followed: Followed, variant: Variant) -> None:
        self.watch, self.followed, self.variant = watch, followed, variant
        self.note, self.warn, self.doing, self.step = watch.note, watch.warn, watch.doing, watch.step
        self.decoding, self.fingerprinting, self.reading = watch.decoding, watch.fingerprinting, watch.reading
        self.fitting, self.scoring = watch.fitting, watch.scoring

    def begins(self, trial: finetuning.Beginning) -> None:
        """Go on with the curve of a trial."""
        self.watch.begins(trial)
        self._begin(trial.trial, trial.epoch)

    def epoch(self, stats: TuneEpoch) -> None:
        """Tell of an epoch, once it is saved."""
        self.watch.epoch(stats)
        self.followed.epoch(stats.row())

    def saved(self) -> None:
        """Tell of what is saved."""
        self.watch.saved()
        self.followed.saved()

    def finished(self, summary: TrialSummary) -> None:
        """Tell the scores of a trial; of one that was finished before, also its curve, where it is not known yet."""
        trial = self.variant.trial(summary.fraction, summary.seed)
        if self.followed.files != trial.files:
            self._begin(trial, summary.epochs, again=False)
        self.followed.finish(summary.epochs, numbers({"validation": summary.validation, "test": summary.test}))
        self.watch.finished(summary)

    def _begin(self, trial: Trial, epochs: int, *, again: bool = True) -> None:
        run, place = trial.variant.run.path, trial.path.relative_to(trial.variant.path.parent)

        def curve() -> Curve:
            config = read_saved(trial.variant.config).config
            settings = settings_of(config, without=["method", "optim"])
            settings |= {"finetune.fractions": trial.fraction, "finetune.seed": trial.seed}
            return Curve(trial.path, run.parent, run.name, f"{run.name}/{place.as_posix()}", settings, epochs)

        self.followed.begin(trial.files, curve, TrialRow, again=again)
