"""Is decoding as fast as in another version of cass? Ordinary images of six formats, side by side.

    git worktree add ../before v0.1; python benchmarks/decoding.py --other ../before

Draws 2,500 images into a temporary folder, then lets one process of each version decode all of a format to 224 px, in
turns, in one thread. Ratios are of the seconds of the processor within a turn, above 1 where this version is faster.
Writes decoding.json and decoding.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import write_result
from PIL import Image
from turns import summarise, take_turns

from tests.data.decode.dicom_files import dicom, stored

IMAGES, TURNS = 2500, 7
THIS, OTHER = "this version", "the other"
HERE = Path(__file__).parents[1]
PROCESS = """
import sys, time
from pathlib import Path
from cass_cli.data.decode.image import read_image
for line in sys.stdin:
    files = sorted(Path(line.strip()).iterdir())
    began = time.process_time()
    for file in files:
        read_image(file, size=224)
    print(time.process_time() - began, flush=True)
"""


def main() -> None:
    """Draw, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", type=Path, required=True, help="a checkout of the other version")
    parser.add_argument("--images", type=int, default=IMAGES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kinds = draw(Path(folder), given.images // len(WRITERS))
        processes = {THIS: begun(HERE), OTHER: begun(given.other.resolve())}
        rows: dict[str, Any] = {}
        for kind in kinds:
            turns = {name: turn(process, kind) for name, process in processes.items()}
            for warm in turns.values():
                warm()
            seconds = take_turns(turns, turns=TURNS)
            rows[kind.name] = summarise(seconds, images=given.images // len(WRITERS), first=THIS)[OTHER]
            rows[kind.name]["this_seconds_per_image"] = sorted(seconds[THIS])[TURNS // 2] * len(WRITERS) / given.images
    path = write_result("decoding", {"rows": rows})
    lines = ["| format | ms an image, before | now | before / now (quartiles) |", "|---|---:|---:|---|"]
    for kind, row in rows.items():
        ratio, low, high = row["ratio"]
        before, now = 1000 * row["seconds_per_image"][0], 1000 * row["this_seconds_per_image"]
        lines.append(f"| {kind} | {before:.2f} | {now:.2f} | {ratio:.3f} ({low:.3f} to {high:.3f}) |")
    text = "\n".join(["# Decoding beside another version", "", f"{given.images:,} images, {TURNS} turns.", "", *lines])
    path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    print(text)


def turn(process: subprocess.Popen[str], folder: Path) -> Callable[[], float]:
    """Return what lets a process decode a folder, and tells its seconds."""

    def take() -> float:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{folder}\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    return take


def begun(checkout: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
    )


def draw(folder: Path, each: int) -> list[Path]:
    """Write so many images of each format, noise on smooth colours, in a folder a format."""
    rng = np.random.default_rng(0)
    for name, write in WRITERS.items():
        (folder / name).mkdir()
        for number in range(each):
            coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((600, 450))
            pixels = np.asarray(coarse).astype(np.int16) + rng.integers(-12, 12, (450, 600, 3), np.int16)
            write(folder / name / f"{number:04}", np.clip(pixels, 0, 255).astype(np.uint8))
    return [folder / name for name in WRITERS]


def _deep(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 0].astype(np.uint16) * 16


WRITERS: dict[str, Callable[[Path, np.ndarray], object]] = {
    "JPEG": lambda path, pixels: Image.fromarray(pixels).save(path.with_suffix(".jpg")),
    "JPEG, progressive": lambda path, pixels: Image.fromarray(pixels).save(path.with_suffix(".jpg"), progressive=True),
    "PNG": lambda path, pixels: Image.fromarray(pixels).save(path.with_suffix(".png"), compress_level=3),
    "PNG, 16 bits": lambda path, pixels: Image.fromarray(_deep(pixels)).save(
        path.with_suffix(".png"), compress_level=3
    ),
    "TIFF": lambda path, pixels: Image.fromarray(pixels).save(path.with_suffix(".tif"), compression="tiff_lzw"),
    "DICOM, 16 bits": lambda path, pixels: path.with_suffix(".dcm").write_bytes(stored(dicom(_deep(pixels)))),
}


if __name__ == "__main__":
    main()
