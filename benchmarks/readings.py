"""Does cass read a stranger's folder rightly, or not at all? Draws layouts as publishers ship them, and reads each.

    python benchmarks/readings.py --before before.json

Every case of `reading_cases` is a folder drawn small, the commands that a user tries first, and the readings or stops
that are right. `--python-path` measures another checkout of cass; what one measured, `--out` keeps for `--before`.
Writes readings.json and the page readings.md.

right: read as it is; told: less was read, and said so; stopped: exit code 2, and the message helps; unclear: stopped or
read without the word that helps; lacking: this version lacks the option; wrong: misread without a stop; crashed.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine import write_result
from reading_cases.case import Case, Try
from reading_cases.cass import Cass, Said
from reading_cases.draw import Draw
from reading_cases.judge import OUTCOMES, Reading, Verdict, judge
from reading_cases.runs import RunCase
from reading_cases.sets import READINGS, SETS
from rich.console import Console
from rich.table import Table

CHECKOUT = Path(__file__).resolve().parents[1]
SHOWN = {"right": "green", "told": "green", "stopped": "green", "wrong": "red", "crashed": "red"}


def main() -> None:
    """Draw, read and judge the cases asked for; print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", action="append", choices=SETS, help="only these sets; default: all but runs")
    parser.add_argument("--only", action="append", default=[], help="only cases with this in their name")
    parser.add_argument("--python-path", type=Path, default=CHECKOUT, help="the checkout of cass to measure")
    parser.add_argument("--before", type=Path, help="what another version gave, to be put beside")
    parser.add_argument("--out", type=Path, help="write the JSON here, and nothing to results")
    parser.add_argument("--list", action="store_true", help="list the cases and their sources")
    parser.add_argument("--keep", type=Path, help="draw into this folder and leave it there")
    parser.add_argument("--faults", action="store_true", help="list only what is neither right, told nor stopped")
    given = parser.parse_args()
    chosen = {name: _matching(SETS[name], given.only) for name in given.cases or READINGS}
    if given.list:
        _list(chosen)
        return
    before = json.loads(given.before.read_text(encoding="utf-8")) if given.before else None
    began, rows = time.monotonic(), []
    with Cass(given.python_path.resolve()) as cass, tempfile.TemporaryDirectory() as scratch:
        for name, cases in chosen.items():
            for case in cases:
                rows += list(_run(case, name, cass, given.keep or Path(scratch), keep=bool(given.keep)))
    result: dict[str, Any] = {"version": _version(given.python_path), "seconds": round(time.monotonic() - began, 1)}
    result |= {"counts": _counts(rows), "rows": rows}
    if before is not None:
        result["before"] = {"version": before["version"], "rows": before["rows"]}
    _show(result, faults=given.faults)
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        return
    sys.argv[1:] = [Path(argument).name if "/" in argument else argument for argument in sys.argv[1:]]
    path = write_result("readings", result)
    path.with_suffix(".md").write_text(_page(result), encoding="utf-8")
    print(f"Written: {path}, {path.with_suffix('.md')}")


def _matching(cases: Sequence[Case | RunCase], only: Sequence[str]) -> list[Case | RunCase]:
    return [case for case in cases if not only or any(part in case.name for part in only)]


def _run(case: Case | RunCase, group: str, cass: Cass, scratch: Path, *, keep: bool) -> Iterator[dict[str, str]]:
    """Do `case` in a folder of its own and yield a row for each of its commands."""
    root = scratch / (case.name if keep else f"set{len(list(scratch.iterdir()))}")  # a name that gives nothing away
    root.mkdir(parents=True)
    for command, verdict in case.run(cass, root) if isinstance(case, RunCase) else _read(case, cass, root):
        why = " ".join(verdict.why.replace(str(root), "FOLDER").split())
        yield {
            "set": group,
            "case": case.name,
            "source": case.source,
            "command": command,
            "outcome": verdict.outcome,
            "why": why,
        }


def _read(case: Case, cass: Cass, root: Path) -> Iterator[tuple[str, Verdict]]:
    """Draw `case` and yield what becomes of each of its commands."""
    draw = Draw(root)
    case.draw(draw)
    for number, asked in enumerate(case.tries):
        said, reading = _ask(cass, asked, root, root.parent / f"{root.name}-{number}.csv")
        said = replace(said, out=said.out.replace(str(root), "FOLDER"), err=said.err.replace(str(root), "FOLDER"))
        yield _command(asked), judge(said, reading, draw.truth, asked.accepts)


def _command(asked: Try) -> str:
    """Return the command as a reader of the table would type it in the folder."""
    words = " ".join(asked.options).replace("DATA", "--data .").replace("{root}/", "")
    return f"cass {asked.command}{'' if asked.command != 'inspect' else f' {asked.at or chr(46)}'} {words}".strip()


def _ask(cass: Cass, asked: Try, root: Path, table: Path) -> tuple[Said, Reading | None]:
    """Run one command, twice where its words are wanted besides its numbers."""
    options = [part for option in asked.options for part in _options(option, root)]
    if asked.command != "inspect":
        return cass.ask([asked.command, *options]), None
    arguments = ["inspect", str(root / asked.at), *options, "--no-duplicates"]
    said = cass.ask(arguments)
    if said.code not in (0, 1):
        return said, None
    numbers = cass.ask([*arguments, "--json", "--csv", str(table)])
    if numbers.code not in (0, 1) or not table.is_file():
        return numbers, None
    found = json.loads(numbers.out)
    with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = [_read_row(row) for row in csv.DictReader(file) if not (row.get("status") or "").startswith("left out")]
    prefix = f"{asked.at}/" if asked.at else ""
    return said, Reading(tuple(found["classes"]), found["multilabel"], found["groups"] is not None, rows, prefix)


def _read_row(row: Mapping[str, str]) -> dict[str, str]:
    """Return a row of `--csv` with its labels in one cell, whether cass wrote them there or in a column a class."""
    classes = [name.removeprefix("label:") for name, cell in row.items() if name.startswith("label:") and cell == "1"]
    return {"label": ";".join(classes), **row}


def _options(option: str, root: Path) -> list[str]:
    return ["--data", str(root)] if option == "DATA" else [option.replace("{root}", str(root))]


def _counts(rows: Sequence[Mapping[str, str]]) -> dict[str, int]:
    found = Counter(row["outcome"] for row in rows)
    return {outcome: found[outcome] for outcome in OUTCOMES}


def _version(path: Path) -> str:
    """Return the last commit of the checkout that changed cass, with a + where its files are changed since."""
    git = ["git", "-C", str(path)]
    commit = subprocess.run(
        [*git, "log", "-1", "--format=%h", "--", "cass_cli"], capture_output=True, text=True, check=False
    )
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", "cass_cli"], capture_output=True, text=True, check=False
    )
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _earlier(result: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    rows = result.get("before", {}).get("rows", [])
    return {(row["case"], row["command"]): row["outcome"] for row in rows}


def _show(result: Mapping[str, Any], *, faults: bool) -> None:
    before = _earlier(result)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("case", "command", *(["before"] if before else []), "outcome", "why"):
        table.add_column(column, overflow="fold")
    for row in result["rows"]:
        if faults and row["outcome"] in ("right", "told", "stopped"):
            continue
        colour = SHOWN.get(row["outcome"], "yellow")
        earlier = [before.get((row["case"], row["command"]), "–")] if before else []
        table.add_row(row["case"], row["command"], *earlier, f"[{colour}]{row['outcome']}[/]", row["why"])
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(table)
    console.print(f"\n{result['version']}: {_sum(result['counts'])} ({result['seconds']} s)")
    if before:
        console.print(f"before, {result['before']['version']}: {_sum(_counts(_common(result)))}")


def _common(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the earlier rows of the commands that were run this time."""
    now = {(row["case"], row["command"]) for row in result["rows"]}
    return [row for row in result["before"]["rows"] if (row["case"], row["command"]) in now]


def _sum(counts: Mapping[str, int]) -> str:
    return f"{sum(counts.values())} commands: " + ", ".join(f"{n} {outcome}" for outcome, n in counts.items() if n)


def _page(result: Mapping[str, Any]) -> str:
    """Return the tables as Markdown."""
    before = _earlier(result)
    lines = ["# What cass makes of strangers' folders", "", f"Version {result['version']}. {_sum(result['counts'])}."]
    if before:
        lines += [f"Before, {result['before']['version']}: {_sum(_counts(_common(result)))}."]
    lines += ["", "The outcomes are explained in the first lines of `benchmarks/readings.py`.", ""]
    head = ["case", "source", "command", *(["before"] if before else []), "outcome", "why"]
    lines += [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in result["rows"]:
        earlier = [before.get((row["case"], row["command"]), "–")] if before else []
        cells = [row["case"], row["source"], f"`{row['command']}`", *earlier, row["outcome"], row["why"]]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _list(chosen: Mapping[str, Sequence[Case | RunCase]]) -> None:
    for name, cases in chosen.items():
        for case in cases:
            print(f"{name:<10} {case.name:<44} {case.source}")


if __name__ == "__main__":
    main()
