"""`cass report` as one HTML page that needs nothing beside it: no script, no network, no other file.

`report.html.j2` is the page and `report_sections.html.j2` its sections (autoescaped: names of files and classes are
data, never markup); `report.css` is written into it.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from types import CodeType
from typing import Any

from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup
from rich.text import Text

from cass_cli import __version__
from cass_cli.data.corruptions import STRENGTHS
from cass_cli.data.space import default_cache_dir, home
from cass_cli.data.splits import SPLITS
from cass_cli.errors import RunError
from cass_cli.files import write_text
from cass_cli.places import without_folders, without_places
from cass_cli.reports.comparison import INTERVAL, sentences, table_rows
from cass_cli.reports.cross_validation import (
    FOLD_LEGEND,
    comparison_rows,
    fold_rows,
    fold_sentences,
    fold_title,
    headline,
    score_rows,
    tested_in_words,
)
from cass_cli.reports.external import beside_home, place_of
from cass_cli.reports.html_figures import curves, embed, trial_pictures
from cass_cli.reports.printing import Screen, duration, print_json
from cass_cli.reports.robustness_in_words import kinds_of, measured_in_words
from cass_cli.reports.subgroups_in_words import gap_in_words, lacks_in_words
from cass_cli.reports.summary_in_words import in_words
from cass_cli.reports.tables import GAUGES_LEGEND
from cass_cli.runs.facts import CARD, FineTuning, Report, RunFacts, Setting, Tuned
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.operating import MEASURES
from cass_cli.scores.use import RECALIBRATION
from cass_cli.words import count, printable

GENERATOR = "cass report"
MARK_WITHIN = 1000  # characters from the beginning
PER_CLASS = {"f1": "F1", "precision": "precision", "recall": "recall", "auroc": "AUROC"}
MOST_ROWS = 30  # of a table of classes, which is folded where it has more
STATES = {
    "healthy": "good",
    "finished": "good",
    "shrinking": "doubtful",
    "unfinished": "doubtful",
    "collapsed": "bad",
    "damaged": "bad",
}


def mark_of(generator: str) -> str:
    """Return by what a page of this command is known from other people's files."""
    return f'<meta name="generator" content="{generator}'


def check_replaceable(path: Path, *, generator: str = GENERATOR) -> None:
    """Raise `RunError` unless `path` is free or holds a page that the command `generator` made."""
    if path.is_dir():
        raise RunError(f"{path} is a folder.", hint="Name a file with --out, as in --out report.html.")
    if path.exists() and not (path.is_file() and mark_of(generator) in _beginning(path)):  # a pipe would be waited for
        raise RunError(
            f"{path} exists, and is no page of {generator}, so it is not overwritten.", hint="Choose another --out."
        )


def _beginning(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(MARK_WITHIN)


def write_report(report: Report, path: Path, *, asked: bool = False) -> int:
    """Write the page and return its size in bytes; where a user `asked` for this path, a link stays one."""
    check_replaceable(path)
    write_text(path, render(report), asked=asked)
    return path.stat().st_size


def show_written(report: Report, path: Path, size: int, *, as_json: bool) -> None:
    """Say where the page is and how large, which runs in it are not finished, and which files are damaged."""
    unfinished = [facts.name for facts in report.runs if facts.state == "unfinished"]
    older = {
        f"{facts.name}/finetune/{tuning.name}": tuning.older
        for facts in report.runs
        for tuning in facts.finetunings
        if tuning.older
    }
    damaged = [said for facts in report.runs for said in facts.damaged]
    if as_json:
        runs = [facts.run.path for facts in report.runs]
        told = {"report": path, "bytes": size, "runs": runs, "unfinished": unfinished}
        print_json({**told, "older_than_arms": list(older), "damaged": damaged})
        return
    console = Screen(soft_wrap=True)
    console.print(Text(f"{path}", style="cyan").append(f"  ({size / 1000:,.0f} kB, one file)", style="default"))
    for name in unfinished:
        console.print(Text(f"• {name} is not finished, and the report says so.", style="yellow"))
    for said in damaged:
        console.print(Text(f"• {said} The report is made without it.", style="yellow"))
    for note in older.values():
        console.print(Text(f"• {note}", style="yellow"))


def render(report: Report) -> str:
    """Return the page."""
    return (
        page_environment(_places(report))
        .get_template("report.html.j2")
        .render(
            report=report,
            title=page_title(report),
            generator=f"{GENERATOR} {__version__}",
            splits=SPLITS,
            metrics=METRICS,
            per_class=PER_CLASS,
            point_measures=MEASURES,
            recalibration=RECALIBRATION,
            gauges_legend=GAUGES_LEGEND,
            interval_legend=INTERVAL,
            table_rows=table_rows,
            sentences=sentences,
            in_words=in_words,
            comparison_rows=comparison_rows,
            fold_legend=FOLD_LEGEND,
            fold_rows=fold_rows,
            fold_sentences=fold_sentences,
            fold_title=fold_title,
            headline=headline,
            score_rows=score_rows,
            tested_in_words=tested_in_words,
            curves=curves,
            embed=embed,
            trial_pictures=trial_pictures,
            place_of=place_of,
            beside_home=beside_home,
            gap_in_words=gap_in_words,
            lacks_in_words=lacks_in_words,
            kinds_of=kinds_of,
            measured_in_words=measured_in_words,
            strengths=STRENGTHS,
            parts=parts,
            beside=beside,
            sections=sections,
            level=3 if len(report.runs) > 1 else 2,  # of the headings of a run's sections
            most_rows=MOST_ROWS,
            isnan=math.isnan,
        )
    )


class _Compiled(BytecodeCache):
    """Templates as Python, which they are made only once a process: that took a third of the time of a report."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self.kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code:
            self.kept[bucket.key, bucket.checksum] = bucket.code


COMPILED = _Compiled()


def page_environment(places: Collection[Path]) -> Environment:
    """Return what pages are made with: all that is put into one is escaped, and names none of these `places`."""
    environment = Environment(
        loader=PackageLoader("cass_cli", "reports"),
        bytecode_cache=COMPILED,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=partial(_leaving, places=places),
    )
    environment.filters |= {
        "number": number,
        "estimate": estimate,
        "duration": duration,
        "lines": lambda text: Markup("<br>").join(_leaving(line, places) for line in text.splitlines()),
        "setting": setting_text,
        "badge": badge,
        "quoted": lambda value: shlex.quote(without_folders(str(value))),
    }
    environment.globals |= {
        "made": datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z"),
        "style": Markup(files("cass_cli.reports").joinpath("report.css").read_text(encoding="utf-8")),
        "count": count,
    }
    return environment


def _places(report: Report) -> set[Path]:
    """Return the folders of this machine that the facts of a report may name."""
    runs = [facts.run.path for facts in report.runs]
    data = [path for facts in report.runs if facts.config and (path := facts.config.data.path)]
    return places_of(runs, data)


def places_of(runs: Sequence[Path], data: Sequence[Path]) -> set[Path]:
    """Return the folders of this machine that texts on these runs and data may name."""
    known = [*runs, *(path.absolute() for path in (*runs, *data)), *(path.resolve() for path in (*runs, *data))]
    return {*(path.parent for path in known), Path.cwd(), default_cache_dir(), home()}


def _leaving(value: Any, places: Collection[Path]) -> Any:
    """Return what stands on the page for a value: nothing that acts upon it, and no folder of this machine."""
    if isinstance(value, Markup) or not isinstance(value, str | Path):
        return value
    return printable(without_places(str(value), places)).replace("\n", r"\n")


def page_title(report: Report) -> str:
    """Return the heading of the page."""
    names = [facts.name for facts in report.runs]
    return f"Run {names[0]}" if len(names) == 1 else f"{len(names)} runs: {', '.join(names)}"


def sections(facts: RunFacts) -> dict[str, str]:
    """Return the sections that there is something to say in, as anchor → heading."""
    every = {
        "overview": "What was run",
        "data": "Data and splits",
        "training": "Learning or collapsing?",
        "results": "Results",
        "figures": "What the arms learned",
        "cost": "Cost",
        "environment": "Environment",
        "commands": "Do it again",
    }
    missing = {"training"} if facts.state == "not pretrained" else set()
    return {anchor: heading for anchor, heading in every.items() if anchor not in missing}


def beside(tuning: FineTuning) -> dict[str, list[str]]:
    """Return the files in the folders of a fine-tuning's trials that are pages of their own, by what they hold."""

    def within(tuned: Tuned, name: str) -> str:
        return f"{tuned.summary.fraction:g}/seed{tuned.summary.seed}/{name}"

    return {
        "errors": [within(tuned, name) for tuned in tuning.trials for name in tuned.pages],
        "card": [within(tuned, CARD) for tuned in tuning.trials if tuned.has_card],
    }


def parts(settings: Sequence[Setting]) -> tuple[list[Setting], list[Setting]]:
    """Return the settings that are not the defaults, and the others."""
    return [s for s in settings if s.changed], [s for s in settings if not s.changed]


def number(value: float | None, digits: str = "3f") -> Markup:
    """Return a number rounded for people, with all its digits for machines; – where it is not defined."""
    if value is None or math.isnan(value):
        return Markup("–")
    return Markup('<data value="{}">{}</data>').format(repr(float(value)), f"{value:.{digits}}")


def estimate(value: Mapping[str, float | None]) -> Markup:
    """Return a number with its interval."""
    if value["low"] is None or value["high"] is None:
        return number(value["value"])
    return number(value["value"]) + Markup(' <span class="interval">{}</span>').format(
        f"{value['low']:.3f}{' to ' if value['low'] < 0 else '–'}{value['high']:.3f}"
    )


def setting_text(value: Any) -> str:
    """Return the value of a setting as people write it."""
    if isinstance(value, Mapping):
        return ", ".join(without_folders(f"{key}={item}") for key, item in value.items()) or "none"
    if isinstance(value, tuple | list):
        return ", ".join(without_folders(str(item)) for item in value)
    return "none" if value is None else without_folders(str(value))


def badge(state: str) -> Markup:
    """Return the state of a run or an arm, coloured; the word says it as well."""
    return Markup('<span class="badge {}">{}</span>').format(STATES.get(state, "plain"), state)
