"""All that only a GPU can show, by one command in under eight minutes: is it right, how fast is it, what would help?

    python benchmarks/gpu.py                             the GPU at hand; from the root, nothing need be installed
    python benchmarks/gpu.py --check                     name the packages that are missing, and how to bring them
    python benchmarks/gpu.py --sections step,levers --minutes 5 --out gpu.json
    python benchmarks/gpu.py --device cpu --tiny         a rehearsal of all of it, with tiny arms, in a minute

Sections, in the order of their value: `correctness` (every path on the GPU against the CPU, tiny arms), `step` (the
paper's step against plain loops and lightly, its share of the matmul peak, its memory), `levers` (one by one),
`projection` (hours on the paper's data sets). Each case is written as it ends to results/<machine>/gpu.json, or --out:
whenever the command is cut, what was done is there. A case that typically takes longer than what is left of --minutes
is left out, and the file says so. Ends with 1 where the GPU and the CPU disagree, 2 where something is missing.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import platform
import re
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

BEGAN = time.monotonic()
ROOT = Path(__file__).resolve().parents[1]
SECTIONS = ("correctness", "step", "levers", "projection")
IMPORTED_AS = {"pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}
NEEDS_TORCH = ("lightly", "timm", "torchvision")  # pip would bring another torch along
WHEELS = ("manylinux2014", "manylinux_2_27", "manylinux_2_28")
BATCHES = (16, 32)
MOST_STEPS = 30  # of a turn at the first batch size
GOAL_FP32, GOAL_BF16, GOAL_SHARE, GOAL_BYTES = 5.0, 2.0, 0.5, 16e9


def main() -> int:
    """Run what was asked for and return the exit status."""
    given = arguments()
    missing = missing_packages()
    if missing or given.check:
        print(how_to_bring(missing))
        return 2 if missing else 0
    sys.path.insert(0, str(ROOT))
    import torch

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if given.device != "cpu" and not torch.cuda.is_available():
        print("No CUDA device can be used here. Rehearse with: python benchmarks/gpu.py --device cpu --tiny")
        return 2
    if given.device == "cpu" and not given.tiny:
        print("On a CPU this is a rehearsal: add --tiny. The other benchmarks are for CPUs, see benchmarks/README.md.")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CASS_CACHE"] = str(Path(folder) / "cache")
        return measure(given, Path(folder))


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say what is missing")
    parser.add_argument("--sections", default=",".join(SECTIONS), help="of " + ", ".join(SECTIONS))
    parser.add_argument("--minutes", type=float, default=8.0, help="that all of it may take")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--precision", choices=["bf16", "fp32"], help="of ours; default: bf16, if the GPU has it")
    parser.add_argument("--tiny", action="store_true", help="tiny arms and few turns: a rehearsal")
    parser.add_argument("--turns", type=int, help="that each contestant is timed for; default: 5, tiny: 1")
    parser.add_argument("--workers", type=int, help="of the plain loops and lightly; default: 8 at most, 2 at least")
    parser.add_argument("--out", type=Path, help="JSON file that is written")
    given = parser.parse_args()
    unknown = set(given.sections.split(",")) - set(SECTIONS)
    if unknown:
        parser.error(f"--sections: there is no {', '.join(sorted(unknown))}")
    given.turns = given.turns or (1 if given.tiny else 5)
    given.workers = given.workers or max(2, min(8, (os.cpu_count() or 1) // 2))
    return given


def missing_packages() -> dict[str, str]:
    """Return what is wrong with packages that pyproject.toml asks for, by name: absent, broken, or too old."""
    wrong: dict[str, str] = {}
    names = {module: name for name, module in IMPORTED_AS.items()}
    for name, least in requirements():
        try:
            importlib.import_module(IMPORTED_AS.get(name, name))
        except ModuleNotFoundError as error:  # of itself, or of what it needs
            absent = (error.name or name).split(".")[0]
            wrong[names.get(absent, absent)] = "not installed"
        except Exception as error:  # a broken one raises anything: torchvision without its torch, a RuntimeError
            wrong[name] = f"cannot be imported: {type(error).__name__}"
        else:
            if _numbers(version(name)) < _numbers(least):
                wrong[name] = f"{version(name)}, and {least} is the least"
    return wrong


def requirements() -> Iterator[tuple[str, str]]:
    """Yield name and least version of the packages that cass needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for text in project["dependencies"]:
        name, _, least = text.partition(">=")
        yield name.strip(), least.strip()


def how_to_bring(missing: Mapping[str, str]) -> str:
    """Return what to do about what is missing, and about lightly, which may be."""
    optional = [] if importlib.util.find_spec("lightly") else ["lightly"]
    lines = [f"{name}: {what}" for name, what in missing.items()] or ["All that cass needs is here."]
    lines += ["lightly: not installed; it would only be compared with"] if optional else []
    wanted = [name for name in [*missing, *optional] if name != "torch"]
    if "torch" in missing:
        lines += ["", "Install torch first, in the build for this GPU's driver."]
    if not wanted:
        return "\n".join(lines)
    tags = " ".join(f"--platform {tag}_{platform.machine()}" for tag in WHEELS)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    alone = [name for name in wanted if name in NEEDS_TORCH]
    groups = [("", [name for name in wanted if name not in alone]), ("--no-deps ", alone)]
    download = f"pip download -d .wheels --only-binary :all: --python-version {python} {tags}"
    install = "pip install --no-index --find-links .wheels"
    lines += ["", "Where packages can be fetched, in the root of the repository, into a folder that git ignores:"]
    lines += ["    mkdir -p .git/info && echo /.wheels/ >> .git/info/exclude"]
    lines += [f"    {download} {how}{' '.join(names)}" for how, names in groups if names]
    lines += ["Bring .wheels here with the repository, and:"]
    lines += [f"    {install} {how}{' '.join(names)}" for how, names in groups if names]
    return "\n".join(lines)


def measure(given: argparse.Namespace, folder: Path) -> int:
    """Run the sections, print the goals, and return the exit status. Works in `folder`."""
    import plain
    import torch
    from gpu_checks import compile_case, training_cases
    from gpu_commands import Commands
    from gpu_record import Case, Record
    from gpu_speed import Setup, lever_cases, projection_cases, step_cases, write_files
    from machine import RESULTS, environment, machine_slug
    from step import SIZES

    from cass_cli.engine.device import choose_device

    device = choose_device(given.device)
    plain.WORKERS = given.workers
    size = SIZES["tiny" if given.tiny else "paper"]
    batches = (size.batch_size, 2 * size.batch_size) if given.tiny else BATCHES
    native = device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    precision = given.precision or ("bf16" if native else "fp32")
    setup = Setup(size, batches, device, precision, given.turns, folder / "files")
    path = given.out or RESULTS / machine_slug() / f"gpu{'-rehearsal' if given.tiny else ''}.json"
    record = Record(path, given.minutes, BEGAN)
    settings = {**vars(given), "out": str(path), "precision": precision}
    record.note(environment=environment(), settings=settings, finished=False)
    record.run("environment", [Case("device", 0, lambda: describe(device))])
    asked = given.sections.split(",")
    if "correctness" in asked:
        commands = Commands(folder / "commands", device).cases()
        record.run("correctness", [*training_cases(device), *commands, compile_case(device)])
    if set(asked) - {"correctness"}:
        write_files(setup.folder, size=size.image_size, images=(2 if given.tiny else MOST_STEPS) * batches[-1])
    for name, cases in (("step", step_cases), ("levers", lever_cases), ("projection", projection_cases)):
        if name in asked:
            record.run(name, cases(setup))
    record.note(goals=goals(record.entries("step"), batches[0]), finished=True)
    show_end(record, on_gpu=device.type == "cuda")
    return 1 if record.names("failed", "correctness") else 0


def describe(device: Any) -> dict[str, Any]:
    """Return what is known of a `torch.device` and of the libraries under it."""
    import torch
    from turns import circumstances

    found = circumstances(device)
    if device.type != "cuda":
        return found
    card = torch.cuda.get_device_properties(device)
    return {
        **found,
        "memory": card.total_memory,
        "capability": [card.major, card.minor],
        "multiprocessors": card.multi_processor_count,
        "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "nccl": list(torch.cuda.nccl.version()),
    }


def goals(step: Mapping[str, Any], batch: int) -> list[dict[str, Any]]:
    """Return what is wanted of the step on a GPU, what was found (None: not measured), and whether it is reached.

    `step` is what the section found. The loops are compared as they are, from files; beside it, `ready` says how they
    compare with their images ready on the device.
    """
    from gpu_speed import PLAIN, PLAIN_BF16, from_files, ready

    def value(case: str, row: str, key: str) -> Any:
        found = step.get(case, {}).get("rows", {}).get(row, {}).get(key)
        return found[0] if isinstance(found, list) else found

    files, held = from_files(batch), ready(batch)
    share, memory = (value(held, "ours", key) for key in ("peak_share", "peak_memory"))
    wanted = [
        (f"≥ {GOAL_FP32:g} × the plain loop in fp32", value(files, PLAIN, "ratio"), value(held, PLAIN, "ratio")),
        (
            f"≥ {GOAL_BF16:g} × the plain loop in bf16",
            value(files, PLAIN_BF16, "ratio"),
            value(held, PLAIN_BF16, "ratio"),
        ),
        (f"≥ {GOAL_SHARE:.0%} of the matmul peak at batch {batch}", share, None),
        (f"< {GOAL_BYTES / 1e9:g} GB at batch {batch}", memory, None),
    ]
    limits = (GOAL_FP32, GOAL_BF16, GOAL_SHARE, GOAL_BYTES)
    reached = [found is not None and found >= limit for (_, found, _), limit in zip(wanted[:3], limits, strict=False)]
    reached.append(memory is not None and memory < GOAL_BYTES)
    return [
        {"goal": goal, "found": found, "ready": at_hand, "reached": None if found is None else met}
        for (goal, found, at_hand), met in zip(wanted, reached, strict=True)
    ]


def show_end(record: Any, *, on_gpu: bool) -> None:
    """Print what failed, what was left out, the goals, and where all of it is written."""
    print()
    for section in record.result["sections"]:
        for status in ("failed", "left out"):
            names = record.names(status, section)
            if names:
                print(f"{section}, {status}: {', '.join(names)}")
    passed, skipped = (len(record.names(status, "correctness")) for status in ("passed", "skipped"))
    print(f"correctness: {passed} passed, {skipped} skipped, {len(record.names('failed', 'correctness'))} failed")
    for goal in record.result["goals"]:
        found = "not measured" if goal["found"] is None else f"{goal['found']:.3g}"
        ready = "" if goal["ready"] is None else f" ({goal['ready']:.3g} with its images ready)"
        verdict = {None: "", True: "reached", False: "missed"}[goal["reached"]] if on_gpu else "no goal of a CPU"
        print(f"{goal['goal']:40} {found}{ready}  {verdict}".rstrip())
    print(f"\nWritten in {record.result['seconds']:.0f} s: {record.path}")


def _numbers(text: str) -> list[int]:
    """Return a version's numbers without what follows a +."""
    return [int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3]]


if __name__ == "__main__":
    sys.exit(main())
