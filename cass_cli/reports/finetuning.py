"""What `cass finetune` shows: progress while it runs, a table of test scores at its end."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from cass_cli.engine.finetuning.job import FinetuneResult
from cass_cli.engine.finetuning.loop import TuneEpoch, TuneStep
from cass_cli.engine.finetuning.session import Tuning
from cass_cli.reports.printing import print_json
from cass_cli.runs.compare import Cell, cells_of
from cass_cli.runs.names import find, trial_flags
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, method_name
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.over_seeds import format_summary

REDRAW_SECONDS = 0.25
SHOWN = ("macro_f1", "balanced_accuracy", "auroc")


class FinetuneDisplay:
    """Shows a fine-tuning on stdout, or on stderr when stdout is kept for JSON."""

    def __init__(self, *, to_stderr: bool = False) -> None:
        self.console = Console(stderr=to_stderr, highlight=False, soft_wrap=True)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.bars = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
        )
        self.decoding_task = self.bars.add_task("Decoding", total=None, visible=False, status="")
        self.trial_task = self.bars.add_task("Training", total=None, visible=False, status="")
        self.epoch_task = self.bars.add_task("Epoch", total=None, visible=False, status="")
        self.batch_task = self.bars.add_task("Batch", total=None, visible=False, status="")
        self.noted: set[str] = set()
        self.epochs, self.metric, self.drawn = 0, "", 0.0

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def note(self, text: str) -> None:
        """Say one thing that was found or decided, once."""
        if text not in self.noted:
            self.noted.add(text)
            self.console.print(Text(f"• {text}", style="dim"))

    def warn(self, text: str) -> None:
        """Say what may spoil the result."""
        self.console.print(Text(f"Warning: {text}", style="yellow"))

    def decoding(self, done: int, total: int) -> None:
        """Show how many images are decoded."""
        self.bars.update(self.decoding_task, completed=done, total=total, visible=done < total)
        self._draw()

    def trial(self, number: int, trials: int, trial: Trial, t: Tuning) -> None:
        """Say which training begins."""
        self.epochs, self.metric = t.settings.epochs, METRICS[t.settings.metric]
        began = f" (from epoch {t.epoch})" if t.epoch else ""
        self.console.print(
            f"[bold]{number}/{trials}[/] {' + '.join(t.arms)} on {t.images:,} labels ({trial.fraction:.4g} of them), "
            f"seed {trial.seed}, {t.compute}{began}: [cyan]{trial.path}[/]"
        )
        self.bars.update(self.trial_task, completed=number - 1, total=trials, visible=trials > 1)
        self.bars.update(self.epoch_task, completed=t.epoch, total=self.epochs, visible=True)
        self._draw(now=True)

    def step(self, step: TuneStep) -> None:
        """Move the bars."""
        status = f"loss {step.loss:.4f}  lr {step.lr:.1e}"
        self.bars.update(self.batch_task, completed=step.batch, total=step.batches, visible=True, status=status)
        self.bars.update(self.epoch_task, completed=step.epoch + step.batch / step.batches)
        self._draw()

    def epoch(self, stats: TuneEpoch) -> None:
        """Print the line of a finished epoch."""
        parts = []
        for name, arm in stats.arms.items():
            seen = f" val {arm.val_loss:.4f} {self.metric} {arm.val_score:.3f}" if not math.isnan(arm.val_loss) else ""
            star = "*" if arm.best_epoch == stats.epoch else ""
            over = f" stopped, best epoch {arm.best_epoch}" if arm.stopped and stats.epoch < self.epochs else ""
            parts.append(f"{name} loss {arm.loss:.4f}{seen}{star}{over}")
        rate = stats.images / stats.seconds
        self.console.print(
            f"epoch {stats.epoch:>{len(str(self.epochs))}}/{self.epochs}  {rate:.0f} img/s  {'   '.join(parts)}"
        )
        self.bars.update(self.epoch_task, completed=stats.epoch)
        self._draw(now=True)

    def finished(self, summary: TrialSummary) -> None:
        """Say what a finished training scores on the test split."""
        metric = summary.metric
        scores = [f"{name} {v[metric]:.3f}" for name, v in summary.test.items() if v[metric] is not None]
        if scores:
            which = f"fraction {summary.fraction:g}, seed {summary.seed}"
            self.console.print(f"  {which}: test {METRICS[metric]} {', '.join(scores)}")
        self.bars.update(self.trial_task, advance=1)
        self._draw(now=True)

    def _draw(self, *, now: bool = False) -> None:
        if self.console.is_terminal and (now or time.monotonic() - self.drawn > REDRAW_SECONDS):
            self.drawn = time.monotonic()
            self.live.update(Group(self.bars), refresh=True)


def show_finetuned(result: FinetuneResult, *, as_json: bool) -> None:
    """Show the test scores over seeds, where the arms are, and what to do next."""
    if as_json:
        print_json(_as_dict(result))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    console.print(scores_table(result))
    seeds = len({trial.seed for trial in result.trials})
    over = f"mean over {seeds} seeds ± half of the 95 % interval (Student t)" if seeds > 1 else "one seed"
    console.print(f"Test split, {over}. mean: of both arms; pick: whichever validation chose.", style="dim")
    console.print(f"\nSaved in [cyan]{result.variant}[/]")
    console.print(f"Next: cass evaluate{trial_flags(find(result.variant.parent, result.variant.name).trial())}")


def scores_table(result: FinetuneResult) -> Table:
    """Return the test scores: a row for each label fraction and candidate, headline metric first."""
    metrics = list(dict.fromkeys([result.metric, *SHOWN]))
    rows: dict[tuple[float, str], list[Cell]] = {}
    for metric in metrics:
        for cell in cells_of(method_name(result.trials[0]), result.trials, metric):
            rows.setdefault((cell.fraction, cell.candidate), []).append(cell)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("fraction", "labels", "", *(METRICS[metric] for metric in metrics)):
        table.add_column(heading, justify="left" if heading == "" else "right", no_wrap=True)
    before = None
    for (fraction, candidate), cells in rows.items():
        start = [f"{fraction:g}", f"{cells[0].labels:,}"] if fraction != before else ["", ""]
        table.add_row(*start, candidate, *(_figure(cell) for cell in cells))
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
        for cell in cells_of("", result.trials, metric)
    ]
    return {
        "variant": str(result.variant),
        "metric": result.metric,
        "seconds": result.seconds,
        "results": results,
        "trials": [trial.as_dict() for trial in result.trials],
    }
