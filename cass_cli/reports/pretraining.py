"""What `cass pretrain` shows: a live screen or plain lines while it runs, the plan, and the result."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.text import Text

from cass_cli.engine.pretraining.advice import GAINED, LOST, Advice
from cass_cli.engine.pretraining.collapse import ADVICE, ArmGauges
from cass_cli.engine.pretraining.job import PretrainResult
from cass_cli.engine.pretraining.loop import EpochStats, StepStats
from cass_cli.engine.pretraining.plan import Plan
from cass_cli.engine.pretraining.session import Session
from cass_cli.engine.timing.forecast import Foreseen
from cass_cli.reports.live import LiveDisplay
from cass_cli.reports.printing import Screen, duration, print_json, print_sentence
from cass_cli.reports.settings import measurements, settings_table
from cass_cli.reports.tables import GAUGES_LEGEND, fits, gauges_table, plain_table, print_table, with_interval
from cass_cli.runs.directory import Run
from cass_cli.runs.names import run_flags
from cass_cli.scores.bootstrap import Estimate
from cass_cli.scores.calibration import arms_among
from cass_cli.scores.metrics import METRICS
from cass_cli.words import count

FORECAST_SECONDS = 3.0  # of training that a forecast rests on, at least
GIB = 2**30


def show_pretrained(result: PretrainResult, *, as_json: bool) -> None:
    """Show where the arms are, how they fared, and what to do next."""
    if as_json:
        print_json(result.as_dict())
        return
    console = Screen(soft_wrap=True)
    gauges = {arm: ArmGauges.from_dict(values) for arm, values in result.gauges.items()}
    console.print()
    print_table(console, gauges_table(gauges, result.states, result.probes), names=2)
    print_sentence(console, GAUGES_LEGEND, style="dim")
    console.print(
        f"\n{count(result.epochs, 'epoch')} in {duration(result.seconds)}, last loss {result.loss:.4f}. Saved:"
    )
    for path in result.arms.values():
        console.print(Text(f"  {path}", style="cyan"))
    if "collapsed" in result.states.values():
        console.print("[yellow]An arm has collapsed: do not read its low loss as success.[/]")
    if result.advice:
        _show_advice(console, result.advice)
    run = Run(result.run)
    labels = "" if result.labelled else " --labels CSV"
    if result.advice:
        console.print(Text(f"Next: cass finetune{run_flags(run)} --init-from best --label-fraction 0.1"))
    else:
        console.print(Text(f"Next: cass finetune{run_flags(run)}{labels} --label-fraction 0.1"))
    console.print("      (or load an arm with timm: README, “From Python”)", style="dim")


def _show_advice(console: Console, advice: Advice) -> None:
    """Show what the arms' probes say of the pretraining, and what follows from it."""
    console.print()
    on = f"{count(advice.labels, 'label')}, scored on {count(advice.images, 'validation image')}"
    table = plain_table(f"Probes fitted to {on}: {METRICS[advice.metric]}", ("", "before", "after", "change", ""))
    for name, change in advice.change.items():
        style = {GAINED: "green", LOST: "red"}.get(advice.verdict(name), "dim")
        table.add_row(
            name,
            *(with_interval(Estimate(of[name])) for of in (advice.before, advice.after)),
            with_interval(change),
            f"[{style}]{advice.verdict(name)}[/]",
        )
    print_table(console, table)
    arms = ", ".join(f"{name} {advice.verdict(name)}" for name in arms_among(advice.change))
    print_sentence(
        console, f"[bold]{arms}[/]. For each arm the start that suits its labels: cass finetune --init-from best"
    )


def show_plan(foreseen: Foreseen, *, as_json: bool) -> None:
    """Show every setting with its origin, and what would run."""
    resolved, plan, forecast, notes = foreseen.resolved, foreseen.plan, foreseen.forecast, foreseen.notes
    if as_json:
        settings = {key: resolved.value(key) for key in resolved.origins}
        told = {"plan": asdict(plan), "forecast": asdict(forecast), "notes": list(notes)}
        print_json({"settings": settings, "origins": dict(resolved.origins), **told})
        return
    console = Screen(soft_wrap=True)
    print_table(console, settings_table(resolved, resolved.origins))
    for note in (*notes, *measurements(resolved, notes)):
        console.print(f"• {note}", style="dim")
    images = ", ".join(f"{n:,} {split}" for split, n in plan.images.items())
    weights = ", ".join(f"{arm} {n / 1e6:.1f} M" for arm, n in plan.parameters.items())
    seconds = forecast.reading_seconds
    reading = f"; frozen networks read images for {duration(seconds)} of it" if seconds >= 1 else ""
    console.print(
        f"\nImages      {images} (pretraining sees the training split only)\n"
        f"Steps       {plan.steps:,} ({plan.steps_per_epoch:,} an epoch)\n"
        f"Parameters  {weights}\n"
        f"Memory      about {plan.memory_bytes / GIB:.2f} GiB: weights and optimiser {plan.weight_bytes / GIB:.2f}, "
        f"activations {plan.activation_bytes / GIB:.2f}, decoded images {plan.image_bytes / GIB:.2f}\n"
        f"Time        about {duration(forecast.seconds)}, at {forecast.images_per_second:.3g} images a second "
        f"({forecast.timed}){reading}\n"
        f"Device      {plan.device}, {plan.precision}\n\nNothing was run."
    )


class Silent:
    """A watcher that shows nothing: the other processes of a distributed run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None: ...
    def note(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def decoding(self, done: int, total: int) -> None: ...
    def fingerprinting(self, done: int, total: int) -> None: ...
    def reading(self, done: int, total: int) -> None: ...
    def doing(self, what: str) -> None: ...
    def started(self, session: Session, plan: Plan, run: Run) -> None: ...
    def step(self, stats: StepStats) -> None: ...
    def epoch(self, stats: EpochStats) -> None: ...
    def saved(self) -> None: ...
    def finished(self, result: PretrainResult) -> None: ...


class PretrainDisplay(LiveDisplay):
    """Shows a pretraining."""

    def __init__(self, epochs: int, *, to_stderr: bool = False) -> None:
        super().__init__(to_stderr=to_stderr)
        self.epochs = epochs
        self.epoch_task = self.add_bar("Epoch", total=epochs)
        self.batch_task = self.add_bar("Batch")
        self.reading_task = self.add_bar("Features")
        self.gauges = gauges_table({}, {})
        self.states: dict[str, str] = {}
        self.probes: dict[str, Any] = {}
        self.rate = math.nan
        self.since: tuple[float, int] = (0.0, 0)
        self.images = 0  # of an epoch
        self.mark: tuple[float, int] | None = None  # time and images when the first steps were done
        self.forecast_told = False

    def below_bars(self) -> list[RenderableType]:
        return [self.gauges] if self.gauges.row_count and fits(self.console, self.gauges) else []

    def reading(self, done: int, total: int) -> None:
        """Show how many batches frozen networks have read: those that teach, or the arms that are compared."""
        self.count(self.reading_task, done, total)

    def started(self, session: Session, plan: Plan, run: Run) -> None:
        """Say what is about to run, and where it is written."""
        names = " + ".join(arm.name for arm in session.arms.values())
        size = session.store.images.shape[-1]
        how = f"{session.compute}{' compiled' if session.compiled else ''}"
        many = f", {session.world.size} processes" if session.world.size > 1 else ""
        self.say(
            f"[bold]{names}[/] on {session.images:,} training images at {size} px, batch {session.train.batch_size}, "
            f"{count(session.train.epochs, 'epoch')} = {session.steps:,} steps, {how}{many}, "
            f"about {plan.memory_bytes / GIB:.1f} GiB"
        )
        began = f"  (from epoch {session.epoch})" if session.step else ""
        self.say(Text("Run: ").append(str(run.path), style="cyan").append(began), whole=True)
        self.gauges = gauges_table(session.start_gauges, {})
        self.doing("Beginning")
        self.bars.update(self.epoch_task, completed=session.epoch, visible=True)
        self.since, self.images = (time.monotonic(), session.seen), session.images
        self.draw(now=True)

    def step(self, stats: StepStats) -> None:
        """Move the bars, and forecast the rest once a few steps are done."""
        if not self.forecast_told:
            self._forecast(stats)
        began, seen = self.since
        if stats.images > seen and time.monotonic() - began > 1:
            self.rate = (stats.images - seen) / (time.monotonic() - began)
        rate = f"{self.rate:.0f} img/s" if math.isfinite(self.rate) else "… img/s"
        status = f"loss {stats.loss:.4f}  lr {stats.lr:.1e}  {rate}  waiting {stats.waiting:.0%}"
        self.bars.update(self.batch_task, completed=stats.batch, total=stats.batches, visible=True, status=status)
        self.bars.update(self.epoch_task, completed=stats.epoch + stats.batch / stats.batches)
        self.doing("Measuring the arms" if stats.batch == stats.batches else "")
        self.draw()

    def _forecast(self, stats: StepStats) -> None:
        """Say how long the run will take, from the steps after the first report; the bars refine it."""
        done = stats.epoch * self.images + stats.images
        if self.mark is None:
            self.mark = (time.monotonic(), done)
            return
        seconds, images = time.monotonic() - self.mark[0], done - self.mark[1]
        if seconds < FORECAST_SECONDS or images <= 0:
            return
        self.forecast_told = True
        left = (self.epochs * self.images - done) * seconds / images
        peak = f", {stats.peak_memory / GIB:.1f} GiB of the GPU at most" if stats.peak_memory else ""
        self.say(f"Forecast: {duration(left)} to go, at {images / seconds:.3g} images a second{peak}")

    def epoch(self, stats: EpochStats) -> None:
        """Print the line of a finished epoch, and warn of an arm that has just collapsed."""
        arms = "  ".join(
            f"{arm} cosine {g.outputs.cosine:.3f} rank {g.features.rank:.0f} {stats.states[arm]}{_probed(stats, arm)}"
            for arm, g in stats.gauges.items()
        )
        self.say(
            f"epoch {stats.epoch:>{len(str(self.epochs))}}/{self.epochs}  loss {stats.loss:.4f}  "
            f"{stats.images_per_second:.0f} img/s  waiting {stats.waiting:.1%}  {arms}"
        )
        for arm, state in stats.states.items():
            if state == "collapsed" and self.states.get(arm) != "collapsed":
                self.warn(f"{arm} has collapsed. {ADVICE}")
        self.states = dict(stats.states)
        self.probes = stats.probes or self.probes
        self.gauges = gauges_table(stats.gauges, stats.states, self.probes)
        self.bars.update(self.epoch_task, completed=stats.epoch)
        self.doing("Saving")
        self.since = (time.monotonic(), 0)
        self.draw(now=True)

    def finished(self, result: PretrainResult) -> None:
        """Say nothing yet: `show_pretrained` does, when the bars are gone."""


def _probed(stats: EpochStats, arm: str) -> str:
    """Return the accuracy of an arm's probes as text, "" in an epoch without."""
    if arm not in stats.probes:
        return ""
    return f" (kNN {stats.probes[arm]['knn']['accuracy']:.3f}, linear {stats.probes[arm]['linear']['accuracy']:.3f})"
