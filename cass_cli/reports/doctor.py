"""What `cass doctor` found, for people and for a bug report: no folder, and no name of a person or a machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cass_cli.engine.doctor.installed import Installed
from cass_cli.engine.doctor.job import Examination, Found
from cass_cli.reports.printing import Screen, print_json, print_sentence

HERE = {"folder": "in $CASS_WEIGHTS", "cache": "in the hub's cache", "": "not here"}


def show_examination(examination: Examination, *, as_json: bool) -> None:
    """Print what was found, then what is odd about it."""
    if as_json:
        print_json(as_dict(examination))
        return
    console, what = Screen(), examination.installed
    print_sentence(console, Text(f"cass {what.cass} on Python {what.python}", style="bold"))
    _print_rows(console, [*_of_versions(what), *(_rows(examination.found) if examination.found else ())])
    console.print()
    for warned in examination.warnings:
        print_sentence(console, Text("! ", style="bold yellow").append(warned.what, style="default not bold"))
        console.print(Text(f"  {warned.hint}", style="cyan"), soft_wrap=not console.is_terminal)
    if not examination.warnings:
        print_sentence(console, "Nothing is odd.", style="green")
    print_sentence(console, "Paste this into a bug report: it names no person, no machine and no folder.", style="dim")


def as_dict(examination: Examination) -> dict[str, Any]:
    """Return what was found as plain JSON values, without the places of files."""
    value = asdict(examination) | {"usable": examination.usable}
    for file in (value["found"] or {}).get("weights", ()):
        del file["path"]
    return value


def _print_rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Print a row a fact: in a file as it is, in a terminal the facts folded beside their names."""
    width = max(len(name) for name, _ in rows) + 2
    if not console.is_terminal:
        for name, words in rows:
            print_sentence(console, Text(f"{name:<{width}}{words}"))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, words in rows:
        table.add_row(name, Text(words))
    console.print(table)


def _of_versions(what: Installed) -> Iterator[tuple[str, str]]:
    told = [f"{name} {version or '–'}" for name, version in what.versions.items()]
    half = len(told) // 2
    yield "versions", ", ".join(told[:half])
    yield "", ", ".join(told[half:])
    there = ", ".join(name for name, has in what.extras.items() if has)
    lacking = ", ".join(name for name, has in what.extras.items() if not has)
    yield "extras", "; ".join(filter(None, (there, lacking and f"not installed: {lacking}")))


def _rows(found: Found) -> Iterator[tuple[str, str]]:
    has, cards, room = found.machine, found.gpus, found.room
    yield "system", has.system
    cores = f"{has.cores} cores, " if has.cores else ""
    quota = f", a limit of {has.quota:g} processors" if has.quota else ""
    yield "processor", f"{has.processor}: {cores}{has.threads} threads, PyTorch uses {has.torch_threads}{quota}"
    yield "", f"instructions {has.capability}"
    limit = f", a limit of {_gb(has.memory_limit)}" if has.memory_limit else ""
    yield "memory", f"{_gb(has.memory)}, {_gb(has.memory_free)} free{limit}"
    for number, card in enumerate(cards.cards):
        bf16 = "with bf16" if card.bf16 else "without bf16"
        free = f"{_gb(card.memory)}, {_gb(card.memory_free)} free"
        yield f"cuda:{number}", f"{card.name}: {free}, capability {card.capability}, {bf16}"
    driver = f", driver {cards.driver}" if cards.driver else ""
    cuda = f"PyTorch is built with CUDA {cards.cuda}" if cards.cuda else "PyTorch is built without CUDA"
    if cards.mps:
        most = f"{_gb(cards.mps.memory)} at most, {_gb(cards.mps.memory_taken)} of them taken"
        yield "mps", f"{cards.mps.name}: {most}, of the machine's memory"
    yield "graphics", f"{'' if cards.cards or cards.mps else 'no card that PyTorch can use; '}{cuda}{driver}"
    cached = f"{room.cached / 1e6:,.1f} MB of them kept" if room.cached else "none kept"
    yield "disk", f"{_gb(room.runs_free)} free for runs, {_gb(room.cache_free)} for decoded images ({cached})"
    for number, file in enumerate(found.weights):
        yield "" if number else "weights", f"{file.model}: {HERE[file.where]} ({', '.join(file.presets)})"
    yield "", f"$CASS_WEIGHTS: {found.folder}"
    yield "network", f"the hub does not answer: {found.network}" if found.network else "the hub answers"
    yield "auto", f"{found.chosen.device} {found.chosen.precision}. {found.chosen.why}"


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f} GB"
