"""Which figures of a comparison are asked for, and whether they can be drawn: told before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cass_cli.errors import ConfigError
from cass_cli.runs.compare import Comparison
from cass_cli.runs.cost import costs_of
from cass_cli.runs.trials import Trial
from cass_cli.words import shown

ENDINGS = (".png", ".pdf", ".svg")


@dataclass(frozen=True)
class Figures:
    """Where scores are drawn against labels, and against seconds; None: nowhere."""

    by_labels: Path | None = None
    by_seconds: Path | None = None

    def check(self) -> None:
        """Raise `ConfigError` unless each ending names a format that pictures are written in."""
        for option, path in (("--figure", self.by_labels), ("--figure-seconds", self.by_seconds)):
            if path is not None and path.suffix not in ENDINGS:
                raise ConfigError(
                    f"{option} {shown(str(path))} ends in none of {', '.join(ENDINGS)}.",
                    hint="The ending decides the format.",
                )

    def draw(self, comparison: Comparison | None, trials: Sequence[Trial]) -> None:
        """Write those that are asked for; raise `ConfigError` where there are only cross-validations."""
        if self.by_labels is None and self.by_seconds is None:
            return
        if comparison is None:
            raise ConfigError(
                "--figure and --figure-seconds draw fine-tunings on a run's own split, not cross-validations.",
                hint="Name a run with another: cass finetune without --folds makes one.",
            )
        from cass_cli.reports.comparison_plots import plot_by_labels, plot_by_seconds  # matplotlib: a second

        if self.by_labels:
            plot_by_labels(comparison, self.by_labels)
        if self.by_seconds:
            plot_by_seconds(comparison, costs_of(trials), self.by_seconds)
