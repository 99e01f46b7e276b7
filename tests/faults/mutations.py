"""Damaged run folders: each file of a run, damaged in every way that a crash, an editor or a copy damages files.

`make_runs` makes the runs, `attacks` says what is done to them, and `run_attack` does it: the runs are damaged, and
every command that reads the file is run over them, in process. What a command may then do:

    told    it exits with 2, and names the file
    shown   it goes on, and names the file in what it writes or says
    whole   what it writes and says is the same as without the damage, or the damage is no damage

and what it may not:

    silent     it goes on with another result, and says nothing
    traceback  it calls it a fault of cass
    vague      it exits with 2, and does not name the file
"""

from __future__ import annotations

import csv
import html
import io
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cass_cli.cli.app import run
from tests.cli.conftest import TINY, make_pictures

SEED = 20
GOOD = ("told", "shown", "whole")
RUN, PAPER, PROBE, STOPPED = "p", "p/finetune/pretrained-paper", "p/finetune/pretrained-probe", "p/finetune/stopped"
PAPER_TRIAL, PROBE_TRIAL, STOPPED_TRIAL = f"{PAPER}/1/seed0", f"{PROBE}/1/seed0", f"{STOPPED}/1/seed0"

TUNING = ("--recipe", "paper", "--no-guard", "--epochs", "2", "--batch-size", "8", "--lr", "1e-3")
STOPS = ("--variant", "stopped", "--epochs", "12", "--patience", "12")
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "report": ("report", "{runs}/p", "--json"),
    "compare": ("compare", "{runs}/p", "--json"),
    "evaluate": ("evaluate", "--run", "{runs}/" + PAPER, "--resamples", "0", "--json"),
    "evaluate-probe": ("evaluate", "--run", "{runs}/" + PROBE, "--resamples", "0", "--json"),
    "errors": ("errors", "--run", "{runs}/" + PROBE, "--count", "2", "--json"),
    "card": ("card", "{runs}/" + PAPER, "--json"),
    "predict": ("predict", "{runs}/../new", "--run", "{runs}/" + PAPER, "--out", "-"),
    "predict-probe": ("predict", "{runs}/../new", "--run", "{runs}/" + PROBE, "--out", "-"),
    "finetune": ("finetune", "--run", "{runs}/p", *TUNING, "--variant", "new", "--json"),
    "finetune-again": ("finetune", "--run", "{runs}/p", "--recipe", "probe", "--variant", "again", "--json"),
    "finetune-resume": ("finetune", "--run", "{runs}/p", *TUNING, *STOPS, "--resume", "--json"),
    "finetune-more": ("finetune", "--run", "{runs}/p", *TUNING, "--seeds", "2", "--resume", "--json"),
    "finetune-plan": ("finetune", "--run", "{runs}/p", *TUNING, *STOPS, "--resume", "--dry-run", "--json"),
    "resume": ("pretrain", "--resume", "--runs", "{runs}", "--name", "p", "--epochs", "3", "--json"),
    "latest": ("compare", "--runs", "{runs}", "--json"),
    "attention": ("attention-maps", "--run", "{runs}/" + PAPER, "--samples", "4", "--json"),
    "attention-probe": ("attention-maps", "--run", "{runs}/" + PROBE, "--samples", "4", "--json"),
    "features": ("feature-maps", "--run", "{runs}/p", "--json"),
    "similarity": ("similarity", "--run", "{runs}/p", "--samples", "4", "--json"),
    "inspect": ("inspect", "{runs}/../pictures", "--labels", "{runs}/p/splits.csv", "--json"),
}


@dataclass(frozen=True)
class Attack:
    """One damage to one file of the runs, and the commands that read it."""

    name: str
    file: str  # below the folder of runs; its last part may be a pattern
    damage: Callable[[Path], None]
    commands: tuple[str, ...]
    harmless: bool = False  # another result is rightly given in silence


@dataclass(frozen=True)
class Outcome:
    """What a command made of a damaged run."""

    attack: str
    command: str
    kind: str
    said: str

    @property
    def good(self) -> bool:
        return self.kind in GOOD


# ---- the runs ----


def make_runs(folder: Path) -> Path:
    """Make pictures and runs of them in `folder`, and return the folder of runs.

    `p` has two epochs with probes, and is fine-tuned by both recipes, evaluated and reported; the fine-tuning
    `stopped` was ended by a signal after its first epoch.
    """
    pictures, runs = make_pictures(folder / "pictures", per_class=12), folder / "runs"
    (folder / "new").mkdir()
    shutil.copy(pictures / "dark" / "00.png", folder / "new" / "a.png")
    at = ["--runs", str(runs)]
    _do("pretrain", *TINY, "--epochs", "2", "--probe-every", "1", "--data", str(pictures), *at, "--name", "p")
    _do("finetune", "--run", "p", *TUNING, *at)
    _do("finetune", "--run", "p", "--recipe", "probe", *at)
    ends = threading.Thread(target=_end_after_first_epoch, args=(runs / STOPPED_TRIAL / "metrics.jsonl",))
    ends.start()
    assert _command(["finetune", "--run", "p", *TUNING, *STOPS, *at])[0] == 128 + signal.SIGTERM
    ends.join()
    (runs / "latest").unlink()
    (runs / "latest").write_text("p\n", encoding="utf-8")  # as where a file system has no links
    _do("evaluate", "--run", str(runs / PAPER), "--resamples", "20")
    return runs


def _end_after_first_epoch(metrics: Path) -> None:
    while not (metrics.is_file() and metrics.stat().st_size):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)


def _do(*arguments: str) -> None:
    code, _, said = _command(list(arguments))
    assert code == 0, said


def _command(arguments: list[str]) -> tuple[int, str, str]:
    """Return the exit code, and what was written to stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(arguments)
    return code, out.getvalue(), err.getvalue()


# ---- one attack ----


class Field:
    """Where attacks are run: the runs as they were made, and what each command says of them."""

    def __init__(self, runs: Path) -> None:
        self.pristine = runs.with_name("pristine")
        self.runs = runs
        if not self.pristine.exists():
            shutil.copytree(runs, self.pristine, symlinks=True)
        self.usual: dict[str, tuple[int, str]] = {}

    def restore(self) -> None:
        """Put the runs back as they were made."""
        shutil.rmtree(self.runs)
        shutil.copytree(self.pristine, self.runs, symlinks=True)

    def run(self, command: str) -> tuple[int, str, str]:
        """Run a command over the runs; return its exit code, its result without times, and what it warned of."""
        arguments = [word.format(runs=self.runs) for word in COMMANDS[command]]
        code, out, err = _command(arguments)
        if command == "card" and not code:
            err += "".join(f"• {said}\n" for said in json.loads(out)["damaged"])
        if command != "report" or code:
            return code, _lasting(out), err
        page = (self.runs / RUN / "report.html").read_text(encoding="utf-8")
        damaged = json.loads(out).get("damaged", [])
        told = [said.splitlines()[0].replace(f"{self.runs}/", "") for said in damaged]  # a page tells no folder
        assert all(said in html.unescape(page) for said in told), "said on the page too"
        return code, _lasting(out + page), err + "".join(f"• {said}\n" for said in damaged)

    def as_usual(self, command: str) -> tuple[int, str]:
        """Return the exit code and the result that the command has on undamaged runs."""
        if command not in self.usual:
            self.restore()
            code, result, said = self.run(command)
            assert code == 0, said
            self.usual[command] = code, result
        return self.usual[command]


def _lasting(said: str) -> str:
    """Return what a command wrote without what is never the same twice: times, and what is said of them."""
    said = re.sub(r'"(seconds|images_per_second|waiting|bytes|size|ms|free|cache)": [-\d.eE+]+', r'"\1": 0', said)
    said = re.sub(r"data:image/svg\+xml;base64,[\w+/=]+", "", said)  # matplotlib's ids
    return re.sub(r'<p class="quiet">cass report .*', "", said)


def run_attack(field: Field, attack: Attack, *, commands: tuple[str, ...] = ()) -> Iterator[Outcome]:
    """Damage the runs anew for each command that reads the file, or of `commands`, and run it over them."""
    for command in commands or attack.commands:
        usual = field.as_usual(command)
        field.restore()
        found = sorted(field.runs.glob(attack.file)) or [field.runs / attack.file]
        attack.damage(found[0])
        code, result, said = field.run(command)
        arm = found[0].parent.name == "arms" and f"/arms/{found[0].stem}." in said
        told = arm or (found[0].stem if found[0].suffix == ".npz" else found[0].name) in said
        if (code, result) == usual or (attack.harmless and code == 0):
            kind = "whole"
        elif code == 2:
            kind = "told" if told else "vague"
        elif code == 0:
            kind = "shown" if told else "silent"
        else:
            kind = "traceback"
        yield Outcome(attack.name, command, kind, said if kind not in GOOD else _first_line(said))
    field.restore()


def _first_line(said: str) -> str:
    lines = said.splitlines()
    return next((line for mark in ("Error", "•") for line in lines if line.startswith(mark)), "")


# ---- what is done to files ----


def _bytes(data: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    return damage


def _changed(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: _bytes(change(path.read_bytes()))(path)


def _folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def _unreadable(path: Path) -> None:
    path.chmod(0)


def _gone(path: Path) -> None:
    path.unlink()


ANY_FILE: Mapping[str, Callable[[Path], None]] = {
    "empty": _bytes(b""),
    "noise": _bytes(random.Random(SEED).randbytes(500)),
    "zeros": _bytes(bytes(4096)),
    "cut in half": _changed(lambda data: data[: len(data) // 2]),
    "a folder": _folder,
    **({"unreadable": _unreadable} if os.geteuid() else {}),  # root reads everything
}
TEXT: Mapping[str, Callable[[Path], None]] = {
    **ANY_FILE,
    "UTF-16": _changed(lambda data: data.decode().encode("utf-16")),
    "latin-1": _changed(lambda data: data[:40] + "é".encode("latin-1") + data[40:]),
    "{}": _bytes(b"{}\n"),
    "[]": _bytes(b"[]\n"),
    "null": _bytes(b"null\n"),
    "text": _bytes(b'"text"\n'),
    "nested": _bytes(b"[" * 100_000),
}
WRONG: tuple[Any, ...] = ("x", -5, 1.5, [], {}, None, [None], {"x": None}, float("nan"), True)


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where in a JSON value something stands."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from _places(item, (*at, key))


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _put(value: Any, at: tuple[Any, ...], new: Any) -> None:
    *before, last = at
    for key in before:
        value = value[key]
    value[last] = new


def _at(value: Any, at: tuple[Any, ...]) -> Any:
    for key in at:
        value = value[key]
    return value


def _edited(edit: Callable[[Any], None]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        value = json.loads(path.read_text(encoding="utf-8"))
        edit(value)
        path.write_text(json.dumps(value, indent=2), encoding="utf-8")

    return damage


def _without(key: str) -> Callable[[Path], None]:
    return _edited(lambda value: value.pop(key))


def _wrong_at(at: tuple[Any, ...], new: Any) -> Callable[[Path], None]:
    return _edited(lambda value: _put(value, at, new))


def _lines(edit: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(edit(lines)), encoding="utf-8")

    return damage


def _row(number: int, edit: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def of(lines: list[str]) -> list[str]:
        value = json.loads(lines[number])
        edit(value)
        lines[number] = json.dumps(value) + "\n"
        return lines

    return _lines(of)


def _cell(row: int, column: str, new: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        rows[row][column] = new
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    return damage


def _state(edit: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        edit(state)
        torch.save(state, path)

    return damage


def _other_shape(weights: dict[str, Any]) -> None:
    name = next(iter(weights))
    weights[name] = torch.zeros(3)


# ---- the attacks ----

TRIALS = ("report", "compare")
OF_PAPER = (*TRIALS, "evaluate", "predict", "finetune-more", "attention")
OF_PROBE = (*TRIALS, "evaluate-probe", "predict-probe", "attention-probe")
READ_BY: Mapping[str, tuple[str, ...]] = {
    f"{RUN}/config.yaml": ("report", "resume", "finetune", "features", "similarity", "latest"),
    f"{RUN}/metrics.jsonl": ("report", "resume"),
    f"{RUN}/summary.json": ("report", "resume"),
    f"{RUN}/environment.json": ("report",),
    f"{RUN}/splits.csv": ("report", "resume", "finetune", "evaluate", "similarity", "inspect", "card"),
    f"{RUN}/arms/cnn.json": ("finetune", "features"),
    f"{RUN}/arms/cnn.safetensors": ("finetune", "similarity"),
    f"{RUN}/checkpoints/last/state.pt": ("resume",),
    f"{RUN}/features/cnn-*/00000-*.npz": ("finetune-again", "errors"),
    f"{PAPER}/config.yaml": ("report", "evaluate", "predict", "finetune-more"),
    f"{PAPER_TRIAL}/metrics.jsonl": ("evaluate",),
    f"{PAPER_TRIAL}/summary.json": OF_PAPER,
    f"{PAPER_TRIAL}/evaluation-test.json": ("report", "card"),
    f"{PAPER_TRIAL}/arms/cnn.json": ("evaluate", "attention"),
    f"{PAPER_TRIAL}/arms/cnn.safetensors": ("predict",),
    f"{PAPER_TRIAL}/figures/confusion-test.png": ("report",),
    f"{PAPER}/environment.json": ("report", "card"),
    f"{PROBE_TRIAL}/summary.json": OF_PROBE,
    f"{PROBE_TRIAL}/arms/cnn-head.json": ("evaluate-probe", "attention-probe", "errors"),
    f"{PROBE_TRIAL}/arms/joint-head.json": ("predict-probe",),
    f"{PROBE_TRIAL}/arms/cnn-head.safetensors": ("predict-probe",),
    f"{STOPPED_TRIAL}/metrics.jsonl": ("finetune-resume",),  # the plan counts the rows that there are
    f"{STOPPED_TRIAL}/checkpoints/last/state.pt": ("finetune-resume",),
    "latest": ("latest",),
}
JSON_FILES = tuple(file for file in READ_BY if file.endswith(".json"))
ROWS = tuple(file for file in READ_BY if file.endswith(".jsonl"))
STATES = tuple(file for file in READ_BY if file.endswith(".pt"))
BINARY = (".safetensors", ".npz", ".png", ".pt")
EDITS = 7  # of each JSON file and kind


def attacks(runs: Path) -> Iterator[Attack]:
    """Yield every attack on `runs`, the same each time."""
    for file, commands in READ_BY.items():
        for name, damage in (ANY_FILE if file.endswith(BINARY) else TEXT).items():
            harmless = file.endswith("jsonl") and name == "empty"  # there is one figure less
            yield Attack(f"{file}: {name}", file, damage, commands, harmless=harmless)
    for file in JSON_FILES:
        yield from _edits_of(runs, file)
    for file in ROWS:
        yield from _row_attacks(file)
    yield from _split_attacks()
    for file in STATES:
        yield from _state_attacks(file)
    yield from _other_attacks()


def _edits_of(runs: Path, file: str) -> Iterator[Attack]:
    """Put values of other kinds into a JSON file, and leave out what has no default."""
    chance = random.Random(f"{SEED} {file}")
    value = json.loads((runs / file).read_text(encoding="utf-8"))
    places = list(_places(value))
    tops = [at for at in places if len(at) == 1]
    tops = chance.sample(tops, min(EDITS, len(tops)))
    deeper = [at for at in places if len(at) > 1]
    for at in [*tops, *chance.sample(deeper, min(EDITS, len(deeper)))]:
        new = chance.choice([wrong for wrong in WRONG if _kind(wrong) != _kind(_at(value, at))])
        name = f"{file}: {'.'.join(map(str, at))} is {new!r}"
        yield Attack(name, file, _wrong_at(at, new), READ_BY[file][:3])
    for (key,) in tops if not file.endswith("environment.json") else ():  # of which the report tells what there is
        yield Attack(f"{file}: {key} is missing", file, _without(key), READ_BY[file][:2])


def _row_attacks(file: str) -> Iterator[Attack]:
    damages: Mapping[str, Callable[[Path], None]] = {
        "a row is a list": _lines(lambda lines: ["[1, 2]\n", *lines[1:]]),
        "a row is a number": _lines(lambda lines: ["7\n", *lines[1:]]),
        "a row without epoch": _row(0, lambda row: row.pop("epoch")),
        "an epoch is text": _row(0, lambda row: row.update(epoch="x")),
        "an epoch is text of a number": _row(0, lambda row: row.update(epoch="1")),
        "an epoch is negative": _row(0, lambda row: row.update(epoch=-5)),
        "an epoch is 0": _row(0, lambda row: row.update(epoch=0)),
        "an epoch is 1.5": _row(0, lambda row: row.update(epoch=1.5)),
        "an epoch is far away": _row(0, lambda row: row.update(epoch=10**9)),
        "a row twice": _lines(lambda lines: [lines[0], *lines]),
        "a row is cut, not the last": _lines(lambda lines: [lines[0][:30] + "\n", *lines]),
        "seconds are text": _row(0, lambda row: row.update(seconds="x")),
        "rows of something else": _lines(lambda _: ['{"epoch": 1}\n']),
    }
    for name, damage in damages.items():
        yield Attack(f"{file}: {name}", file, damage, READ_BY[file])
    if "stopped" not in file:
        swapped = _lines(lambda lines: lines[::-1])
        yield Attack(f"{file}: rows out of order", file, swapped, READ_BY[file])
    cut = _changed(lambda data: data + b'{"epoch": 3, "lo')
    yield Attack(f"{file}: the last row is cut", file, cut, READ_BY[file])


def _split_attacks() -> Iterator[Attack]:
    file = f"{RUN}/splits.csv"
    damages: Mapping[str, Callable[[Path], None]] = {
        "a split that there is not": _cell(1, "split", "tran"),
        "no split": _cell(1, "split", ""),
        "no image": _cell(1, "image", ""),
        "an image twice": _lines(lambda lines: [*lines, lines[1]]),
        "no header": _lines(lambda lines: lines[1:]),
        "a row cut": _lines(lambda lines: [*lines[:-1], lines[-1][:10]]),
        "a cell too many": _lines(lambda lines: [lines[0], lines[1].strip() + ",more\n", *lines[2:]]),
        "only a header": _lines(lambda lines: lines[:1]),
    }
    for name, damage in damages.items():
        commands = tuple(c for c in READ_BY[file] if c != "inspect")  # for which it is any CSV
        yield Attack(f"{file}: {name}", file, damage, commands)


def _state_attacks(file: str) -> Iterator[Attack]:
    def weights(state: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = state["method"] if "method" in state else state["arms"]["cnn"]["network"]
        return found

    def place(state: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = state.get("position", state)
        return found

    def without(key: str) -> Callable[[dict[str, Any]], None]:
        return lambda state: state.pop(key)

    def text(key: str) -> Callable[[dict[str, Any]], None]:
        return lambda state: state.update({key: "x"})

    def in_epoch(epoch: Any) -> Callable[[dict[str, Any]], None]:
        return lambda state: place(state).update(epoch=epoch)

    keys = ["method", "optimisers", "averaged", "position", "loss_sum", "images", "start_gauges"]
    keys = keys if "stopped" not in file else ["arms", "epoch", "batch", "images"]
    damages: dict[str, Callable[[dict[str, Any]], None]] = {
        **{f"{key} is missing": without(key) for key in keys},
        **{f"{key} is text": text(key) for key in keys},
        **{f"the epoch is {epoch!r}": in_epoch(epoch) for epoch in (-5, "x", 10**9, 0.5, None, True)},
        "the batch is far away": lambda state: place(state).update(batch=10**9),
        "a weight of another shape": lambda state: _other_shape(weights(state)),
        "a weight is missing": lambda state: weights(state).pop(next(iter(weights(state)))),
        "a weight is text": lambda state: weights(state).update({next(iter(weights(state))): "x"}),
        "the optimiser is empty": lambda state: (
            state["optimisers"] if "optimisers" in state else state["arms"]["cnn"]
        ).update({"cnn" if "optimisers" in state else "optimiser": {}}),
    }
    for name, edit in damages.items():
        yield Attack(f"{file}: {name}", file, _state(edit), READ_BY[file])


def _other_attacks() -> Iterator[Attack]:
    def swap(path: Path) -> None:
        shutil.copy(path.with_name(path.name.replace("cnn", "vit")), path)

    for file in (f"{RUN}/arms/cnn.safetensors", f"{PAPER_TRIAL}/arms/cnn.safetensors", f"{RUN}/arms/cnn.json"):
        yield Attack(f"{file}: of another model", file, swap, READ_BY[file])
    file = f"{PROBE_TRIAL}/arms/cnn-head.safetensors"
    yield Attack(f"{file}: of another arm", file, swap, READ_BY[file])
    for file, key in ((f"{PAPER}/config.yaml", "train"), (f"{RUN}/config.yaml", "data")):
        for name, damage in _config_damages(key).items():
            yield Attack(f"{file}: {name}", file, damage, READ_BY[file])


def _config_damages(section: str) -> Mapping[str, Callable[[Path], None]]:
    def without(lines: list[str]) -> list[str]:
        begins = lines.index(f"{section}:\n")
        ends = next(i for i in range(begins + 1, len(lines)) if not lines[i].startswith(" "))
        return lines[:begins] + lines[ends:]

    return {
        f"the section {section} is missing": _lines(without),
        "an unknown setting": _lines(lambda lines: [*lines, "other:\n", "  one: 1\n"]),
        "a value of another kind": _changed(lambda data: re.sub(rb"epochs: \d+", b"epochs: many", data)),
        "an impossible date": _changed(lambda data: re.sub(rb"epochs: \d+", b"epochs: 2026-99-99", data)),
        "it holds itself": _bytes(b"data: &a\n  more: *a\n"),
        "a tab": _changed(lambda data: data.replace(b"\n  ", b"\n\t", 1)),
    }


def main(every: int = 1) -> int:
    """Run every attack, or one in so many; print those that went wrong, and how many went how. Return 0 if all is well.

    Called by `python -m tests.faults.mutations`.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"CASS_CACHE": f"{folder}/cache", "HF_HUB_OFFLINE": "1"}
        field, counts = Field(make_runs(Path(folder))), dict[str, int]()
        for attack in list(attacks(field.pristine))[::every]:
            for outcome in run_attack(field, attack):
                counts[outcome.kind] = counts.get(outcome.kind, 0) + 1
                if not outcome.good:
                    said = outcome.said[-300:].strip()
                    print(f"{outcome.kind}: {outcome.attack} | {outcome.command}\n    {said}", flush=True)
    print(counts)
    return int(not counts.keys() <= {*GOOD})


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
