"""What cass makes of odd image files: writes the table of the tests, decodes it, and lists what each file gives.

    python benchmarks/odd_files.py

Writes benchmarks/results/odd-files.md. The files are those of odd_files.py, dicom_files.py and
field_files.py in tests/data/decode/.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from machine import RESULTS

sys.path.insert(0, str(Path(__file__).parents[1]))

from cass_cli.data.decode.facts import DecodeError, PixelRules
from cass_cli.data.decode.image import describe_image, read_image
from cass_cli.words import shown
from tests.data.decode.dicom_files import dicom_table
from tests.data.decode.field_files import field_table
from tests.data.decode.odd_files import MAX_PIXELS, OddFile, odd_files


def main() -> None:
    """Decode every file, write the table, and print how many there are."""
    with tempfile.TemporaryDirectory() as folder:
        table = [*odd_files(), *dicom_table(), *field_table()]
        rows = [(odd, outcome(odd, odd.write(Path(folder)))) for odd in table]
    lines = [
        "# Odd image files, and what cass gives",
        "",
        f"{len(rows)} files, generated and read by `python benchmarks/odd_files.py`; the tests hold cass to the same",
        "table. “Exact” means equal to the pixels that the file was made of, by the rules in",
        "`cass_cli/data/decode/rgb.py`, `depth.py` and `dicom.py`; else the largest difference is told. Read with",
        f"`--max-pixels {MAX_PIXELS}`.",
        "",
        "| file | what it is | what cass gives |",
        "|---|---|---|",
        *(f"| `{shown(odd.name)}` | {odd.what} | {given} |" for odd, given in rows),
    ]
    path = RESULTS / "odd-files.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    refused = sum(isinstance(odd.gives, str) for odd, _ in rows)
    print(f"{len(rows)} files: {len(rows) - refused} read, {refused} refused with a reason. Written: {path}")


def outcome(odd: OddFile, path: Path) -> str:
    """Return what the file gives, in one cell."""
    try:
        decoded = read_image(path, rules=PixelRules(max_pixels=MAX_PIXELS))
    except DecodeError as error:
        return f"refused: {shown(error.reason)}"
    facts, pixels = describe_image(path), decoded.pixels
    if isinstance(odd.gives, str):
        return f"read, but should be refused ({odd.gives})"
    grey = "grey" if (pixels == pixels[..., :1]).all() else "colour"
    off = int(np.abs(pixels.astype(int) - odd.gives).max())
    parts = [
        f"{pixels.shape[1]} × {pixels.shape[0]} {grey}, {'exact' if off == 0 else f'within {off} of 255'}",
        f"{facts.bit_depth} → 8 bits" if facts.bit_depth > 8 else "",
        f"first of {facts.pages}" if decoded.several_pages else "",
    ]
    return "; ".join(part for part in parts if part)


if __name__ == "__main__":
    main()
