"""What cass makes of real files of other projects, in odd formats: one line each.

    python benchmarks/public_files.py --folder FOLDER

The files are those of benchmarks/reading_cases/public_files.csv, which says where each is had; none is part of cass.
Writes benchmarks/results/public-files.md: what each holds by its own project's readers, and what cass gives.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from machine import RESULTS

from cass_cli.data.decode.facts import DecodeError
from cass_cli.data.decode.image import describe_image, read_image
from cass_cli.data.layouts.scan import is_image
from cass_cli.data.slides.found import SLIDE_SUFFIXES
from cass_cli.data.slides.reader import SlideError, opened
from cass_cli.words import count, shown

FILES = Path(__file__).parent / "reading_cases" / "public_files.csv"


def main() -> None:
    """Read every file that is there, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the files lie")
    given = parser.parse_args()
    with FILES.open(encoding="utf-8", newline="") as file:
        files = [row for row in csv.DictReader(file) if (given.folder / row["file"]).is_file()]
    lines = [
        "# Real files in odd formats, and what cass gives",
        "",
        f"{len(files)} files of other projects, read by `python benchmarks/public_files.py` with the extras `dicom`,",
        "`nifti`, `heic` and `slides`. *Holds* is what the readers of its own kind say.",
        "",
        "| file | kind | from | holds | cass |",
        "|---|---|---|---|---|",
    ]
    for row in files:
        told = outcome(given.folder / row["file"])
        cells = (f"`{shown(row['file'])}`", row["kind"], row["source"], row["holds"], told)
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    path = RESULTS / "public-files.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"Written: {path}")


def outcome(path: Path) -> str:
    """Return what the file gives, in one cell."""
    if path.suffix.lower() in SLIDE_SUFFIXES and path.suffix.lower() not in {".tif", ".tiff"}:
        return _slide(path)
    if not is_image(str(path), path.name):
        return "left out, and said: a format that is not read"
    try:
        facts, pixels = describe_image(path), read_image(path).pixels
    except DecodeError as error:
        return f"refused: {shown(error.reason)}"
    several = f", {count(facts.pages, facts.unit)}" if facts.pages > 1 else ""
    colour = "grey" if (pixels == pixels[..., :1]).all() else "colour"
    ends = f"{int(pixels.min())} to {int(pixels.max())}, mean {np.mean(pixels):.0f}"
    return f"{facts.width} × {facts.height} {colour}{several}; {ends}"


def _slide(path: Path) -> str:
    try:
        with opened(path) as slide:
            slide.part(0, 0, (64.0, 64.0), (64, 64))
            scale = f"{slide.magnification:.3g}×" if slide.magnification else "no magnification stated"
            return f"a slide for `cass tile`: {scale}, {count(len(slide.downsamples), 'level')}"
    except SlideError as error:
        return f"refused: {shown(error.reason)}"


if __name__ == "__main__":
    main()
