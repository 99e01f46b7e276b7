"""Attacks by names: of classes, files, runs and options, with what a terminal, table, page or figure might act upon.

A scene is a world whose classes and files have such names. Each of its commands is run once; an attack is one name in
what one command said and wrote.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from random import Random

import numpy as np
from PIL import Image

from tests.faults.contained import Measured, contained, outside, verdict
from tests.faults.outcome import Attack, Result
from tests.faults.world import ARMS, World

CLASSES: dict[str, tuple[str, ...]] = {
    "acted": (
        *(
            "\x1b[31mred",
            "\x1b]0title\x07x",
            "\x9b2Jx",
            "a\rb\x08",
            "two\nlines",
            "a\u202egnp",
            "a\u200bb",
            "a\u2066b",
        ),
        *("=1+1", "+1+cmd", "-2+3", "@SUM(A1)", "\uff1d2+2", "'=1", '"=1', "-9x"),
    ),
    "drawn": (
        *("[red]x[/red]", "[/]", ":smile:", "$\\frac{$", "<script>1</script>", "`a`", "[x](http://x)", "\\input{x}"),
        *("\u826f\u6027", "\u062d\u0645\u064a\u062f", "\U0001f600", "e" + "\u0301" * 60, "_hidden", "x" * 5000),
    ),
}
"""By scene: names of classes and files that are acted upon, or drawn as something else."""
CASES = 5  # images of each class
FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
MOST = 30_000  # characters said by a command, of whatever names
TRAIN = (*ARMS, "--batch-size", "8", "--lr", "1e-3")
RUN = ("--run", "{runs}/p")
COMMANDS: dict[str, tuple[str, ...]] = {
    "pretrain": (
        *("pretrain", *TRAIN, "--init", "random", "--epochs", "1", "--data", "{data}", "--runs", "{runs}"),
        *("--name", "p", "--label-column", "label"),
    ),
    "finetune": ("finetune", "--runs", "{runs}", "--run", "p"),
    "evaluate": ("evaluate", "--runs", "{runs}", "--run", "p", "--resamples", "0"),
    "errors": ("errors", *RUN, "--count", "200"),
    "predict": ("predict", "{data}", *RUN, "--out", "-"),
    "predict-file": ("predict", "{data}", *RUN, "--out", "{work}/answers.csv", "--json"),
    "attention-maps": ("attention-maps", *RUN, "--samples", "8"),
    "feature-maps": ("feature-maps", *RUN, "--samples", "8", "--pdf"),
    "report": ("report", "{runs}/p"),
    "card": ("card", "{runs}/p"),
    "inspect": ("inspect", "{data}", "--label-column", "label", "--csv", "{work}/seen.csv"),
    "inspect-json": ("inspect", "{data}", "--label-column", "label", "--json"),
    "inspect-again": ("inspect", "{data}", "--labels", "{work}/seen.csv", "--label-column", "label", "--json"),
}


@dataclass
class Scene:
    """A world with hostile names, and what its commands said and wrote so far."""

    world: World
    names: tuple[str, ...]
    found: dict[str, tuple[Measured, Result, dict[str, bytes]]]

    def after(self, command: str) -> tuple[Measured, Result, dict[str, bytes]]:
        """Return how a command ended and what it left, after those before it."""
        for name, words in COMMANDS.items():
            if name not in self.found:
                self.found[name] = self._run(words)
            if name == command:
                break
        return self.found[command]

    def _run(self, command: Sequence[str]) -> tuple[Measured, Result, dict[str, bytes]]:
        seen, before = self._files(), outside(self.world)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            measured = Measured(self.world.run(command), 0, 0)  # in this process, as none is to be slow or large
        result = verdict(self.world, measured, before)
        return measured, result, {path: data for path, data in self._files().items() if seen.get(path) != data}

    def _files(self) -> dict[str, bytes]:
        kinds = (".csv", ".html", ".md", ".json", ".png", ".pdf", ".yaml", ".jsonl")
        files = (path for path in self.world.work.rglob("*") if path.suffix in kinds and path.is_file())
        return {path.name: path.read_bytes() for path in files if self.world.data not in path.parents}


def attacks(world: World, of: str, *, sample: int | None = None) -> Iterator[Attack]:
    """An attack for each name of `CLASSES[of]` and command of `COMMANDS`, or so many of them."""
    scene: list[Scene] = []
    chosen = [(name, command) for command in COMMANDS for name in CLASSES[of]]
    if sample is not None:
        chosen = [pair for pair in chosen if pair[1] in ("pretrain", "finetune", "inspect")]
        chosen = Random(of).sample(chosen, min(sample, len(chosen)))
    for name, command in chosen:
        label = f"names/{of}/{command}/{escaped(name)[:24].replace(' ', '-').replace('/', '|')}"
        yield Attack("names", label, partial(_judged, world, of, name, command, scene), escaped(name)[:40])


def _judged(world: World, of: str, name: str, command: str, scenes: list[Scene]) -> Result:
    if not scenes:
        scenes.append(Scene(world, CLASSES[of], {}))
        _draw(world, CLASSES[of])
    measured, result, files = scenes[0].after(command)
    said = measured.outcome.said
    if result.word not in ("equal", "shown raw"):
        return Result("lost" if result.word == "told" else result.word, result.seen)
    if command == "inspect-again" and name not in json.loads(said[said.index("{") :])["class_counts"]:
        return Result("silent difference", said[:600])
    wrong = _wrong_words(said, name, command)
    for path, data in files.items():
        wrong = wrong or _wrong_file(path, data, name)
    return Result("shown raw", wrong) if wrong else Result("equal")


def _wrong_words(said: str, name: str, command: str) -> str:
    """Return what is wrong with how a name stands in what a command said."""
    if raw := {c for c in said if not c.isprintable() and c != "\n"} & {*name} - {"\n"}:
        return f"{raw} in {said[:600]!r}"
    if len(said) > MOST and len(name) > 1000 and command not in ("inspect-json", "inspect-again", "predict"):
        return f"{len(said):,} characters"
    if "Glyph" in said or "natively" in said or "missing from" in said:
        return said[-600:]
    if command == "inspect" and len(name) < 20 and "".join(escaped(name).split()) not in "".join(said.split()):
        return f"{escaped(name)} is not in {said}"
    return _wrong_cells(said.encode(), name) if command == "predict" else ""


def _wrong_file(path: str, data: bytes, name: str) -> str:
    """Return what is wrong with how a name stands in a file."""
    wrong = ""
    if path.endswith(".csv"):
        wrong = _wrong_cells(data, name)
    elif path.endswith(".html"):
        wrong = _wrong_page(data.decode(), name)
    elif path.endswith(".md"):
        wrong = _wrong_markdown(data.decode())
    elif path.endswith((".json", ".jsonl", ".yaml")) and {*data.decode()} & ({*name} - {"\n"}) & UNFIT:
        wrong = "not escaped"
    return f"{path}: {wrong}" if wrong else ""


def _wrong_markdown(text: str) -> str:
    """Return what in a page of Markdown a terminal or a browser would act upon."""
    prose = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)  # code is shown as it stands
    if acts := re.search(r"(?<!\\)(<(?!!-- cass)|`|\]\()", prose):
        return f"acts: {prose[acts.start() : acts.start() + 60]!r}"
    return "not escaped" if {*text} & UNFIT - {"\n"} else ""


UNFIT = {c for names in CLASSES.values() for name in names for c in name if not c.isprintable()}


def _draw(world: World, names: Sequence[str]) -> None:
    """Draw pictures whose classes stand in a table, and whose files are called as their classes are."""
    shutil.rmtree(world.work, ignore_errors=True)
    world.data.mkdir(parents=True)
    world.victim.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    rows = [["image", "label"]]
    for place, name in enumerate(names):
        for case in range(CASES):
            stem = name.replace("/", "|").encode()[:100].decode(errors="ignore")
            file = f"{stem}{place}{case}.png"
            pixels = rng.integers(0, 128, (40, 40, 3)) + 15 * place
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(world.data / file)
            rows.append([file, name])
    with (world.data / "labels.csv").open("w", newline="", encoding="utf-8") as table:
        csv.writer(table, quoting=csv.QUOTE_ALL).writerows(rows)


def escaped(name: str) -> str:
    """Return a name as a terminal may show it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _wrong_cells(data: bytes, name: str) -> str:
    """Return which cell of a table holds, for this name, what a spreadsheet or terminal would act upon."""
    core = {c for c in name if not c.isprintable()}
    for row in csv.reader(io.StringIO(data.decode("utf-8", "surrogateescape"), newline="")):
        for cell in row:
            if core & {*cell}:
                return f"raw {cell[:80]!r}"
            if name.startswith(FORMULA) and cell.startswith(name[:6]) and not _is_number(cell):
                return f"formula {cell[:80]!r}"
    return ""


def _wrong_page(page: str, name: str) -> str:
    if raw := {c for c in page if not c.isprintable() and c != "\n"} & {*name}:
        return f"raw {raw}"
    if name.startswith("<") and name in page:
        return "markup"
    return "" if escaped(name)[:40] in html.unescape(page) else f"no {escaped(name)[:40]}"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


# ---- names of runs, options, and what a stranger's files say ----

HOSTILE = {"escape": "\x1b[2Jx", "title": "\x1b]0;x\x07", "c1": "\x9b2Jx", "line": "a\nb", "override": "a\u202eb"}
HOSTILE |= {"markup": "[red]x[/red]", "end": "[/]", "bytes": "caf\udce9", "long": "x" * 5000, "tab": "a\tb"}
OPTIONS: dict[str, tuple[str, ...]] = {
    "data": ("inspect", "{name}"),
    "data-of-pretrain": ("pretrain", "--data", "{name}"),
    "labels": ("inspect", "{data}", "--labels", "{name}"),
    "layout": ("inspect", "{data}", "--layout", "{name}"),
    "column": ("inspect", "{data}", "--labels", "{data}/labels.csv", "--label-column", "{name}"),
    "pattern": ("inspect", "{data}", "--group-pattern", "{name}("),
    "splits": ("inspect", "{data}", "--splits", "{name}"),
    "preset": ("pretrain", "--preset", "{name}"),
    "name": ("pretrain", "--data", "{data}", "--name", "{name}"),
    "set": ("pretrain", "--data", "{data}", "--set", "{name}=1"),
    "value": ("pretrain", "--data", "{data}", "--set", "train.epochs={name}"),
    "arm": ("pretrain", "--data", "{data}", "--cnn", "{name}"),
    "config": ("pretrain", "--config", "{name}"),
    "run": ("evaluate", "--runs", "{runs}", "--run", "{name}"),
    "runs": ("evaluate", "--runs", "{name}"),
    "report": ("report", "{name}"),
    "compare": ("compare", "{name}"),
    "option": ("inspect", "--{name}"),
    "command": ("{name}",),
    "number": ("inspect", "{data}", "--seed", "{name}"),
    "magnification": ("tile", "{data}", "--out", "{work}/t", "--magnification", "{name}"),
    "sets": ("data", "show", "{name}"),
}


def options(world: World, *, sample: int | None = None) -> Iterator[Attack]:
    """An attack for each option and hostile name, or so many of them: each is told, on a screen that stays whole."""
    for name in ("pretraining.job", "finetuning.job", "tiling.job"):  # so that no copy of this process imports it anew
        import_module(f"cass_cli.engine.{name}")
    chosen = [(option, kind) for option in OPTIONS for kind in HOSTILE]
    if sample is not None:
        chosen = Random(0).sample(chosen, sample)
    for option, kind in chosen:
        yield Attack("names", f"names/options/{option}/{kind}", partial(_asked, world, option, HOSTILE[kind]), option)


def _asked(world: World, option: str, name: str) -> Result:
    if not (world.data / "labels.csv").exists() or len(list(world.work.iterdir())) > 1:
        _draw(world, ("a", "b"))
    before = outside(world)
    command = [part.replace("{name}", name.replace("{", "{{").replace("}", "}}")) for part in OPTIONS[option]]
    measured = contained(world, command)
    result = verdict(world, measured, before)
    if result.word == "equal":
        return Result("silent difference", f"taken: {result.seen}")
    if len(measured.outcome.said) > 3000 and len(name) > 1000:
        return Result("shown raw", f"{len(measured.outcome.said):,} characters")
    if left := [path for path in world.work.iterdir() if path != world.data]:
        return Result("left over", f"{left}")
    return result


RUNS = ("escape", "line", "override", "markup", "end", "bytes", "tab", "c1")
READERS: dict[str, tuple[str, ...]] = {
    "report": ("report", "{run}"),
    "compare": ("compare", "{run}", "--csv", "{work}/c.csv", "--markdown", "{work}/c.md", "--latex", "{work}/c.tex"),
    "evaluate": ("evaluate", "--run", "{run}", "--resamples", "0"),
    "errors": ("errors", "--run", "{run}", "--count", "1"),
    "card": ("card", "{run}"),
    "predict": ("predict", "{data}", "--run", "{run}", "--out", "{work}/a.csv"),
    "finetune": ("finetune", "--run", "{run}"),
    "pretrain": ("pretrain", "--run", "{run}", "--resume"),
    "guide": (),
}


def foreign(world: World, *, sample: int | None = None) -> Iterator[Attack]:
    """A run whose folder, and whose fine-tuning's, has a hostile name, read by each command; or so many of these."""
    chosen = [(reader, kind) for reader in READERS for kind in RUNS]
    if sample is not None:
        chosen = [("report", "escape"), ("compare", "markup"), ("guide", "c1")][:sample]
    for reader, kind in chosen:
        yield Attack(
            "names",
            f"names/runs/{reader}/{kind}",
            partial(_read, world, reader, HOSTILE[kind].replace("/", "")),
            reader,
        )


def _read(world: World, reader: str, name: str) -> Result:
    state = "named"
    if not (world._kept / state).exists():
        _draw(world, ("a", "b"))
        for step in ("pretrain", "finetune"):
            outcome = world.run(COMMANDS[step])
            assert outcome.code == 0, outcome.said
        world.keep(world._kept / state)
    world.restore(state)
    run = world.runs / name
    (world.runs / "p").rename(run)
    shutil.rmtree(world.runs / "latest", ignore_errors=True)
    (world.runs / "latest").unlink(missing_ok=True)
    before = outside(world)
    command = [str(run).replace("{", "{{") if part == "{run}" else part for part in READERS[reader]]
    measured = contained(world, command)
    result = verdict(world, measured, before)
    written = (path for path in world.work.rglob("*") if world.data not in path.parents)
    for path in (path for path in written if path.suffix in (".md", ".tex", ".csv", ".html")):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        if raw := {c for c in text if not c.isprintable() and c != "\n"}:
            return Result("shown raw", f"{path.name}: {raw}")
    return result
