"""What `cass finetune` shows: progress while it runs, a table of test scores at its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from rich.table import Table
from rich.text import Text

from cass_cli.config.load import Resolved
from cass_cli.config.recipes import IMPLIED
from cass_cli.engine.finetuning.job import FinetuneResult
from cass_cli.engine.finetuning.loop import TuneEpoch, TuneStep
from cass_cli.engine.finetuning.shared import Beginning
from cass_cli.reports.cross_validation import FOLD_LEGEND, show_cross_validation
from cass_cli.reports.live import LiveDisplay
from cass_cli.reports.printing import Screen, print_json, print_sentence
from cass_cli.reports.tables import print_table
from cass_cli.runs.compare import Cell, cells_of
from cass_cli.runs.names import find, run_flags, trial_flags
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import method_name
from cass_cli.scores.guard import FINE_TUNED
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.over_seeds import format_summary
from cass_cli.words import count, label_share

SHOWN = ("macro_f1", "balanced_accuracy", "auroc")


class FinetuneDisplay(LiveDisplay):
    """Shows a fine-tuning."""

    def __init__(self, *, to_stderr: bool = False) -> None:
        super().__init__(to_stderr=to_stderr)
        self.trial_task = self.add_bar("Trial")
        self.reading_task = self.add_bar("Reading")
        self.fitting_task = self.add_bar("Fitting")
        self.epoch_task = self.add_bar("Epoch")
        self.batch_task = self.add_bar("Batch")
        self.scoring_task = self.add_bar("Scoring")
        self.epochs, self.metric = 0, ""

    def begins(self, trial: Beginning) -> None:
        """Say which trial begins."""
        self.epochs, self.metric = trial.epochs, METRICS[trial.metric]
        began = f" (from epoch {trial.epoch})" if trial.epoch else ""
        self.say(
            f"[bold]{trial.number}/{trial.trials}[/] {' + '.join(trial.arms)} on {trial.labels:,} labels "
            f"({label_share(trial.trial.fraction, 'training labels')}), {trial.trial.which}, {trial.compute}{began}"
        )
        self.say(Text(f"    {trial.trial.path}", style="cyan"), whole=True)
        self.bars.update(self.trial_task, completed=trial.number - 1, total=trial.trials, visible=trial.trials > 1)
        if trial.epochs:
            self.bars.update(self.epoch_task, completed=trial.epoch, total=self.epochs, visible=True)
        self.draw(now=True)

    def reading(self, done: int, total: int) -> None:
        """Show how many batches the frozen arms have read."""
        self.count(self.reading_task, done, total)

    def fitting(self, done: int, total: int) -> None:
        """Show how many of the regressions that are tried have been fitted."""
        self.count(self.fitting_task, done, total)

    def scoring(self, done: int, total: int) -> None:
        """Show how many validation and test images the trained arms have answered."""
        self.count(self.scoring_task, done, total)

    def step(self, step: TuneStep) -> None:
        """Move the bars."""
        status = f"loss {step.loss:.4f}  lr {step.lr:.1e}"
        self.bars.update(self.batch_task, completed=step.batch, total=step.batches, visible=True, status=status)
        self.bars.update(self.epoch_task, completed=step.epoch + step.batch / step.batches)
        self.doing("")
        self.draw()

    def epoch(self, stats: TuneEpoch) -> None:
        """Print the line of a finished epoch."""
        parts = []
        for name, arm in stats.arms.items():
            seen = f" val {arm.val_loss:.4f} {self.metric} {arm.val_score:.3f}" if not math.isnan(arm.val_loss) else ""
            star = "*" if seen and arm.best_epoch == stats.epoch else ""
            over = f" stopped, best epoch {arm.best_epoch}" if arm.stopped and stats.epoch < self.epochs else ""
            parts.append(f"{name} loss {arm.loss:.4f}{seen}{star}{over}")
        rate = stats.images / stats.seconds
        self.say(f"epoch {stats.epoch:>{len(str(self.epochs))}}/{self.epochs}  {rate:.0f} img/s  {'   '.join(parts)}")
        self.bars.update(self.epoch_task, completed=stats.epoch)
        self.draw(now=True)

    def finished(self, summary: TrialSummary) -> None:
        """Say what a finished training scores on the test split."""
        metric = summary.metric
        scores = [f"{name} {value:.3f}" for name, v in summary.test.items() if (value := v.get(metric)) is not None]
        if scores:
            which = f"{label_share(summary.fraction)}, {summary.which}"
            self.say(f"  {which}: test {METRICS[metric]} {', '.join(scores)}")
        self.bars.update(self.trial_task, advance=1)
        self.draw(now=True)


def show_finetuned(result: FinetuneResult, *, as_json: bool) -> None:
    """Show the test scores over seeds, where the arms are, and what to do next."""
    if as_json:
        print_json(_as_dict(result))
        return
    console = Screen(soft_wrap=True)
    console.print()
    if result.crossed:
        _show_crossed(console, result)
        return
    print_table(console, scores_table(result), names=3)
    seeds = len({trial.seed for trial in result.trials})
    over = f"mean over {seeds} seeds ± half of the 95 % interval (Student t)" if seeds > 1 else "one seed"
    explained = {
        "mean": "of both arms",
        "joint": "one regression on both arms' features",
        "ensemble": "the arms and joint, averaged by weight",
    }
    if any(trial.members for trial in result.trials):
        explained |= {"mean": "of all", "ensemble": "of all, weighed by validation"}
    shown = {name for trial in result.trials for name in trial.test} | {"mean"}
    told = "".join(f" {name}: {what};" for name, what in explained.items() if name in shown)
    print_sentence(console, f"Test split, {over}.{told} pick: whichever validation chose.", style="dim")
    for note in dict.fromkeys(note for t in result.trials for note in (t.unseen_note, t.untested_note) if note):
        print_sentence(console, Text(f"• {note}", style="yellow"))
    for note in guard_notes(result.trials):
        print_sentence(console, note, style="dim")
    console.print(Text("\nSaved in ").append(str(result.variant), style="cyan"))
    trial = find(result.variant.parent, result.variant.name).trial()
    console.print(Text(f"Next: cass evaluate{trial_flags(trial)}"))


def _show_crossed(console: Screen, result: FinetuneResult) -> None:
    """Show what the folds say together, and where that is."""
    metrics = list(dict.fromkeys([result.metric, *SHOWN]))
    for one in result.crossed:
        show_cross_validation(console, one, metrics)
        console.print()
    print_sentence(console, FOLD_LEGEND, style="dim")
    for note in guard_notes(result.trials):
        print_sentence(console, note, style="dim")
    variant = find(result.variant.parent, result.variant.name).fine_tuning()
    console.print(Text("\nSaved in ").append(str(result.variant), style="cyan"))
    console.print(Text(f"Next: cass report{run_flags(variant.run, option='')}"))


def show_implied(resolved: Resolved) -> None:
    """Say on stderr which setting chose the recipe, where one did."""
    origin = resolved.origins["finetune.recipe"]
    if origin.startswith(IMPLIED):
        setting = origin.removeprefix(IMPLIED)
        Screen(stderr=True).print(
            f"Recipe: {resolved.config.finetune.recipe}, every weight is trained, as {setting} asks. The default, "
            "probe, trains none.",
            style="dim",
        )


def guard_notes(trials: Sequence[TrialSummary]) -> list[str]:
    """Say, for each arm that the guard watched, how often it was kept, and what was set aside would have scored."""
    notes = []
    for arm in dict.fromkeys(name for trial in trials for name in trial.guard):
        judged = [trial for trial in trials if arm in trial.guard]
        kept = [trial for trial in judged if trial.guard[arm]["kept"] == FINE_TUNED]
        aside = [v for t in judged if (v := t.set_aside.get(arm, {}).get("test", {}).get(t.metric)) is not None]
        if len(kept) == len(judged):
            what = "fine-tuned, which validation preferred to its probe"
        else:
            probes = f"its probe in {len(judged) - len(kept)} of {count(len(judged), 'trial')}"
            what = (
                f"{probes}, fine-tuned in the others"
                if kept
                else "its probe, which scored no lower on validation images"
            )
        scored = f"; what was set aside scores {METRICS[judged[0].metric]} {fmean(aside):.3f}" if aside else ""
        notes.append(f"{arm}: {what}{scored}.")
    return notes


def scores_table(result: FinetuneResult) -> Table:
    """Return the test scores: a row for each label fraction and candidate, headline metric first."""
    metrics = list(dict.fromkeys([result.metric, *SHOWN]))
    rows: dict[tuple[float, str], list[Cell]] = {}
    for metric in metrics:
        for cell in cells_of(method_name(result.trials[0]), result.trials, metric):
            rows.setdefault((cell.fraction, cell.candidate), []).append(cell)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("share", "labels", "", *(METRICS[metric] for metric in metrics)):
        table.add_column(heading, justify="left" if heading == "" else "right", no_wrap=True)
    before = None
    for (fraction, candidate), cells in rows.items():
        start = [f"{100 * fraction:.3g} %", f"{cells[0].labels:,}"] if fraction != before else ["", ""]
        table.add_row(*start, Text(candidate), *(_figure(cell) for cell in cells))
        before = fraction
    return table


def _figure(cell: Cell) -> str:
    """Return mean ± half interval; a single seed's value alone, since the legend says that it is one."""
    if cell.summary.n == 1:
        return f"{cell.summary.mean:.3f}"
    return format_summary(cell.summary).partition(" (")[0]


def _as_dict(result: FinetuneResult) -> dict[str, Any]:
    metrics = list(dict.fromkeys([result.metric, *METRICS]))
    results = [
        {"fraction": cell.fraction, "candidate": cell.candidate, "metric": metric, **cell.summary.as_dict()}
        for metric in metrics
        for cell in ([] if result.crossed else cells_of("", result.trials, metric))
    ]
    crossed = {"cross_validation": [one.as_dict() for one in result.crossed]} if result.crossed else {}
    return {
        "variant": str(result.variant),
        "metric": result.metric,
        "seconds": result.seconds,
        "results": results,
        **crossed,
        "trials": [trial.as_dict() for trial in result.trials],
    }
