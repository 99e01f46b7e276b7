"""What plain `cass` shows: the way in five commands, and how far the latest run has come."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cass_cli import __version__
from cass_cli.reports.printing import Screen, print_sentence
from cass_cli.runs.standing import Standing, TunedStanding, standing
from cass_cli.words import count, label_share, shown

WAY = {
    "cass inspect FOLDER": "what is there, what is broken, what leaks",
    "cass pretrain --data FOLDER": "a CNN and a Transformer learn from images alone",
    "cass finetune": "labels make classifiers of them",
    "cass evaluate": "test scores with intervals; whose answer to trust",
    "cass report": "all of it on one page",
}
NAMES = {
    "cnn": "the CNN",
    "vit": "the Transformer",
    "mean": "the mean of both arms",
    "joint": "both arms jointly",
    "ensemble": "the average of all",
}


def show_guide(runs: Path) -> None:
    """Show the way, then the latest run below `runs`, its state and the next command."""
    console = Screen()
    print_sentence(console, f"[bold]cass {__version__}[/]  from a folder of medical images to measured classifiers")
    console.print()
    _show_way(console)
    print_sentence(console, "\nNo images at hand: cass pretrain --preset demo.  All commands: cass --help", style="dim")
    found = standing(runs)
    if not found:
        return
    console.print()
    print_sentence(console, Text("Latest run: ").append(shown(found.path.name), style="bold"))
    for line in lines_of(found):
        print_sentence(console, Text(f"  {line}"))
    if command := next_command(found):
        console.print(Text("Next: ").append(command, style="cyan"), soft_wrap=True)


def _show_way(console: Console) -> None:
    """Print a line a command, or two where the terminal is narrow."""
    room = max(map(len, WAY))
    longest = max(map(len, WAY.values()))
    if room + longest + 4 <= console.width:
        table = Table(box=None, pad_edge=False, show_header=False)
        for command, what in WAY.items():
            table.add_row(Text(f"  {command}", style="cyan"), what)
        console.print(table)
        return
    for command, what in WAY.items():
        console.print(Text(command, style="cyan"))
        console.print(Text(f"  {what}", style="dim"))


def lines_of(found: Standing) -> list[str]:
    """Return a line on the pretraining, and one on each fine-tuning."""
    return [_pretraining(found), *map(_fine_tuning, found.fine_tunings)]


def _pretraining(found: Standing) -> str:
    if not found.pretrained:
        return "not pretrained: fine-tuned from other weights"
    of = f" of {count(found.epochs, 'epoch')}" if found.epochs is not None else " epochs"
    if found.finished:
        return f"pretrained: {count(found.done, 'epoch')}" if found.done else "pretrained"
    return f"pretraining: {found.done}{of} done, {'running now' if found.running else 'not finished'}"


def _fine_tuning(tuned: TunedStanding) -> str:
    name = f"fine-tuning {shown(tuned.name)}"
    if not tuned.finished:
        return f"{name}: {'running now' if tuned.running else 'begun, not finished'}"
    unfinished = (
        f", {tuned.begun - tuned.finished} {'running or to come' if tuned.running else 'not finished'}"
        if tuned.begun > tuned.finished
        else ""
    )
    who = NAMES.get(tuned.pick, shown(tuned.pick))
    metric = shown(tuned.metric).replace("_", " ").replace("macro f1", "macro F1").replace("auroc", "AUROC")
    score = f", test {metric} {tuned.test:.3f} with {label_share(tuned.fraction)}" if tuned.test is not None else ""
    return f"{name}: {count(tuned.finished, 'trial')}{unfinished}; answers by {who}{score}"


def next_command(found: Standing) -> str:
    """Return what to do next with the latest run; "" while a process works on it."""
    if found.running or any(each.running for each in found.fine_tunings):
        return ""
    name = shlex.quote(found.path.name)
    if not found.finished and found.pretrained:
        return f"cass pretrain --resume --name {name}"
    if unfinished := next((each for each in found.fine_tunings if each.begun > each.finished), None):
        return f"cass finetune --resume --run {name} --variant {shlex.quote(unfinished.name)}"
    if not found.fine_tunings:
        return "cass finetune"
    if not any(each.evaluated for each in found.fine_tunings if each.latest or len(found.fine_tunings) == 1):
        return "cass evaluate"
    return "cass report" if not (found.path / "report.html").is_file() else "cass predict IMAGES"
