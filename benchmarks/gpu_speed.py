"""What a step costs on a GPU: against plain loops and lightly, lever by lever, and projected on the paper's data sets.

A plain loop (benchmarks/plain.py) comes twice: from files, which is the loop as people write it, and with its images
ready on the device as normalised fp32, which is its arithmetic alone; ours decodes before the run and augments in the
step both times. By PyTorch's defaults only convolutions have TF32: "plain loop, TF32" and "ours, fp32" have it in
products too.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gpu_record import Case, SkipError, first_line
from levers import Bench, levers, measure
from plain import Images, loader, pretraining_epoch, pytorch_defaults, training_transform, write_images
from step import SIZES, Size, case, decode, ours, with_precision
from turns import Memory, Turn, show, summarise, take_turns

from cass_cli.config.schema import Config
from cass_cli.data.sources import load_samples
from cass_cli.engine.compute import Compute
from cass_cli.engine.device import set_up_backends
from cass_cli.engine.memory import lacks_memory
from cass_cli.engine.pretraining.plan import count_cost
from cass_cli.engine.timing.job import PAPER_PRESETS, Projection, benchmark_job
from cass_cli.engine.timing.measure import Timing, matmul_peak
from cass_cli.methods.build import build_arms

PLAIN, PLAIN_TF32, PLAIN_BF16 = "plain loop", "plain loop, TF32", "plain loop, bf16"
LEVERS = {"graphs": 20, "compile": 110, "streams": 15, "cache": 15, "channels-last": 15, "adam": 20, "tf32": 20}
"""Names of benchmarks/levers.py, and the seconds that each takes on a GPU."""
ON_DEVICE = ("cached in memory", "cached on the device")  # of the lever "cache"
EPOCHS = 1000  # more than any contestant takes turns
LEAST_STEPS = 6  # of a turn
READY_SECONDS, FILES_SECONDS = 2.0, 4.0  # of a turn of the slowest contestant, unless LEAST_STEPS take longer
READY_BATCHES = 4
FILES_TURNS = 3  # at most, as these turns are long
LIGHTLY_STEPS = 20  # of a turn
DISTINCT = 96  # files of different content
TINY_PROTOTYPES = 64

Row = dict[str, Any]


@dataclass(frozen=True)
class Setup:
    """Which arms are measured, on what, in which precision, and how often."""

    size: Size
    batches: Sequence[int]
    device: torch.device
    precision: str
    turns: int
    folder: Path  # of image files

    @property
    def tiny(self) -> bool:
        """Whether this is a rehearsal."""
        return self.size is SIZES["tiny"]

    def config(self, batch: int) -> Config:
        """Return the configuration of ours."""
        return case(self.size, batch, epochs=EPOCHS, device=self.device, train__precision=self.precision)


def write_files(folder: Path, *, size: int, images: int) -> None:
    """Write that many image files, of which `DISTINCT` differ."""
    paths = write_images(folder, images=min(images, DISTINCT), size=size)
    for number in range(len(paths), images):
        shutil.copyfile(paths[number % len(paths)], paths[0].with_name(f"{number:04d}.jpg"))


def step_cases(s: Setup) -> list[Case]:
    """Return the measurements of the step."""
    usual, large = s.batches
    return [
        Case(ready(usual), 60, partial(against_plain, s, usual, from_files=False)),
        Case(from_files(usual), 60, partial(against_plain, s, usual, from_files=True)),
        Case(ready(large), 70, partial(against_plain, s, large, from_files=False)),
        Case("byol, vit, against lightly", 50, partial(against_lightly, s, "vit")),
    ]


def ready(batch: int) -> str:
    """Return the name of the case in which the plain loops have their images ready."""
    return f"batch {batch}, images ready"


def from_files(batch: int) -> str:
    """Return the name of the case in which the plain loops read files."""
    return f"batch {batch}, from files"


def lever_cases(s: Setup) -> list[Case]:
    """Return the measurements of the levers."""
    return [Case(name, seconds, partial(pull_lever, s, name)) for name, seconds in LEVERS.items()]


def projection_cases(s: Setup) -> list[Case]:
    """Return the projections: CASS, then the methods that the paper compared it with."""
    return [
        Case("cass", 20, partial(project, s, ["cass"])),
        Case("dino, byol, mae", 60, partial(project, s, ["dino", "byol", "mae"])),
    ]


def against_plain(s: Setup, batch: int, *, from_files: bool) -> dict[str, Any]:
    """Let ours and the plain loops take turns; return a row for each, the rate of the peak and what was counted."""
    config = s.config(batch)
    flops = count_cost(config).flops
    table = load_samples(s.folder)
    steps = _steps(s, batch, flops, most=len(table) // batch, seconds=FILES_SECONDS if from_files else READY_SECONDS)
    table = table.select(list(range(steps * batch)))
    store = decode(table, s.size.image_size, s.device)
    files = [table.path(row) for row in range(len(table))] if from_files else []
    plain = partial(plain_turn, s, batch, steps, files)
    builders: dict[str, Callable[[], Turn]] = {
        "ours": partial(ours, config, store, []),
        PLAIN: plain,
        PLAIN_BF16: partial(plain, bf16=True),
        **({"ours, fp32": partial(ours, with_precision(config, "fp32"), store, [])} if s.precision != "fp32" else {}),
        **({PLAIN_TF32: partial(plain, tf32=True)} if s.device.type == "cuda" else {}),
    }
    turns = min(s.turns, FILES_TURNS) if from_files else s.turns
    rows = take_all(builders, turns, images=steps * batch, device=s.device)
    if s.device.type != "cuda":
        rows[PLAIN_TF32] = {"problem": "skipped: needs CUDA", "skipped": "needs CUDA"}
    set_up_backends(s.device)
    peak = matmul_peak(Compute(s.device, s.precision))
    for row in rows.values():
        if "seconds_per_image" in row:
            row["peak_share"] = flops / row["seconds_per_image"][0] / peak
    source = "plain loops from files" if from_files else "images of the plain loops ready on the device"
    title = f"{s.size.cnn} + {s.size.vit}, {s.size.image_size} px, batch {batch}, {s.device}; {source}"
    show(title, rows, first="ours", notes={name: _note(row) for name, row in rows.items()})
    print(f"Peak: {peak / 1e12:.3g} TFLOP/s ({s.precision} products).")
    facts = {"batch_size": batch, "steps": steps, "precision": s.precision}
    return {"title": title, **facts, "peak_flops": peak, "flops_per_image": flops, "rows": rows}


def _steps(s: Setup, batch: int, flops: float, *, most: int, seconds: float) -> int:
    """Return the steps of a turn, such that the plain loop at the peak of fp32 would take about `seconds` for them."""
    pytorch_defaults(s.device)
    slowest = flops * batch / matmul_peak(Compute(s.device))
    return min(most, max(LEAST_STEPS, round(seconds / slowest)))


def plain_turn(
    s: Setup, batch: int, steps: int, files: Sequence[Path], *, bf16: bool = False, tf32: bool = False
) -> Turn:
    """Return a turn of the plain loop: over `files`, or without any over noise that lies ready on the device."""
    networks = {arm: built.model for arm, built in build_arms(s.config(batch)).items()}
    batches: Any
    if files:
        images = Images(files, training_transform(s.size.image_size))
        batches = loader(images, batch_size=batch, device=s.device)
    else:
        side = s.size.image_size
        held = [torch.randn(batch, 3, side, side, device=s.device) for _ in range(min(steps, READY_BATCHES))]
        batches = [(held[step % len(held)], 0) for step in range(steps)]
    return pretraining_epoch(networks, InTF32(batches) if tf32 else batches, s.device, bf16=bf16)


class InTF32:
    """Batches that switch TF32 on when an epoch over them begins: by then the plain loop has set the defaults."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        torch.set_float32_matmul_precision("high")
        return iter(self.batches)


def take_all(
    builders: Mapping[str, Callable[[], Turn]], turns: int, *, images: int, device: torch.device
) -> dict[str, Row]:
    """Build the contestants, let them take turns, and return a row for each, with the bytes that each took at most.

    One that cannot be built says why. Where all that could be built don't fit beside each other, the last ones are
    left out.
    """
    contestants: dict[str, Turn] = {}
    memory: dict[str, int] = {}
    problems: dict[str, Row] = {}
    for name, build in builders.items():
        measured = Memory(device)
        try:
            turn = build()
            turn()  # warms up
        except Exception as error:  # whatever this machine lacks, the others are worth measuring
            problems[name] = {"problem": first_line(error)[:100]}
            continue
        contestants[name], memory[name] = turn, measured.peak()
    assert "ours" in contestants, problems["ours"]["problem"]
    seconds = None
    while seconds is None:
        try:
            seconds = take_turns(contestants, turns=turns)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error) or len(contestants) == 1:
                raise
            name, _ = contestants.popitem()
            problems[name] = {"problem": "no room beside the others"}
    rows: dict[str, Row] = summarise(seconds, images=images, first="ours")
    for name, row in rows.items():
        row["peak_memory"] = memory[name] or None
    return rows | problems


def against_lightly(s: Setup, arm: str) -> dict[str, Any]:
    """Let BYOL of ours and of lightly take turns, both from the same files, on one arm; return a row for each.

    benchmarks/peers.py does so for DINO and the other arm too.
    """
    try:
        import peers
    except ImportError as error:
        raise SkipError(f"lightly cannot be imported: {error}") from error
    batch, table = s.batches[0], load_samples(s.folder)
    images = min(len(table), LIGHTLY_STEPS * batch)
    config = peers.case("byol", arm, s.size, batch, EPOCHS, TINY_PROTOTYPES, s.device)
    with tempfile.TemporaryDirectory() as folder:
        for row in range(images):
            shutil.copy(table.path(row), folder)
        turns = min(s.turns, FILES_TURNS)
        rows = peers.measure(with_precision(config, s.precision), Path(folder), images, turns, s.device)
    title = f"byol, {getattr(s.size, arm)}, {s.size.image_size} px, batch {batch}, {s.device}; from files"
    show(title, rows, first="ours", notes={name: _note(row) for name, row in rows.items()})
    return {"title": title, "batch_size": batch, "precision": s.precision, "rows": rows}


class PreciseBench(Bench):
    """Variants of the step in a precision that is named."""

    def __init__(self, s: Setup, steps: int) -> None:
        super().__init__(s.size, s.batches[0], s.device, steps, s.folder)
        self.precision = s.precision

    def variant(self, *changes: Any, **settings: Any) -> Turn:
        """Return a turn of steps, as `Bench.variant`."""
        return super().variant(*changes, **{"train__precision": self.precision, **settings})


def pull_lever(s: Setup, name: str) -> dict[str, Any]:
    """Let the step without the lever and with it take turns; ratios say how many times as fast it is with it."""
    steps = 2 if s.tiny else LEAST_STEPS
    variants = levers(PreciseBench(s, steps)).get(name, {})
    if name == "cache":
        variants = {key: variants[key] for key in ON_DEVICE if key in variants}
    if len(variants) < 2:
        raise SkipError("needs CUDA")
    with torch.compiler.set_stance("default" if s.device.type == "cuda" else "force_eager"):  # there, a rehearsal
        rows = measure(variants, s.batches[0] * steps, s.turns, s.device)
    first = next(iter(rows))
    title = f"{name} ({s.size.cnn} + {s.size.vit}, {s.size.image_size} px, batch {s.batches[0]}, {s.precision})"
    notes = {key: f"first turn {row['first_turn']:.1f} s {_note(row)}" for key, row in rows.items() if "turns" in row}
    show(title, rows, first=first, meaning=f"times as fast as {first!r}", notes=notes)
    return {"title": title, "rows": rows}


def project(s: Setup, methods: Sequence[str]) -> dict[str, Any]:
    """Time steps at the size of the paper's presets; return the hours that each data set would take, and the paper's.

    DINO is that which the paper compared with.
    """
    settings: dict[str, Any] = {
        "train.device": str(s.device),
        "train.precision": s.precision,
        "train.compile": "off",
        "method.dino_setting": "paper",
    }
    if s.tiny:
        tiny = {"arms.cnn": s.size.cnn, "arms.vit": s.size.vit, "data.image_size": s.size.image_size}
        settings |= tiny | {
            "train.batch_size": s.batches[0],
            "method.prototypes": TINY_PROTOTYPES,
            "method.decoder_depth": 1,
        }
    found = benchmark_job(PAPER_PRESETS, methods, settings, steps=2 * s.turns, warmup=1 if s.tiny else 3)
    print(f"\nHours of {found.epochs} epochs (the paper's, on an RTX 8000)")
    for one in found.rounds:
        _show_projection(one.projections, one.timings)
    return {
        "epochs": found.epochs,
        "presets": {p.preset: asdict(p) for one in found.rounds for p in one.projections},
        "timings": [{name: asdict(timing) for name, timing in one.timings.items()} for one in found.rounds],
    }


def _show_projection(projections: Sequence[Projection], timings: Mapping[str, Timing]) -> None:
    print(f"{'':14} {'images':>7}  " + "".join(f"{name:24}" for name in timings).rstrip())
    for p in projections:
        cells = []
        for name in timings:
            paper = p.paper_hours.get(name.split()[0])
            cells.append(f"{p.hours[name]:.3g}{f' ({paper:.3g})' if paper else ''}" if name in p.hours else "–")
        print(f"{p.preset:14} {p.images:>7}  " + "".join(f"{cell:24}" for cell in cells).rstrip())
    for name, timing in timings.items():
        if timing.problem or timing.seconds is None:
            print(f"{name}: {timing.problem}")
            continue
        phases = ", ".join(f"{phase} {1000 * seconds:.3g}" for phase, seconds in (timing.split or {}).items())
        step = f"{1000 * timing.seconds:.3g} ms a step of {timing.batch_size}, {timing.peak_share:.0%} of peak"
        print(f"{name}: {step}; ms with a wait after each phase: {phases}")


def _note(row: Mapping[str, Any]) -> str:
    """Return what else is known of a row: its share of the peak, its memory."""
    share = f"{row['peak_share']:.0%} of peak" if "peak_share" in row else ""
    memory = f"{row['peak_memory'] / 1e9:.1f} GB" if row.get("peak_memory") else ""
    return ", ".join(filter(None, (share, memory)))
