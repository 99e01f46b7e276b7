"""How long do 25,000 files take, and does memory stay flat?

    python benchmarks/files.py --folder FOLDER

Draws images once into FOLDER (JPEGs of 300 px in class folders, beside them a CSV of patients, sex and age), then times
in a process each, at a tenth of the files and at all of them: the scan with the reading of the layout, the headers,
the search for duplicates as `cass inspect` does it, and the decoding of all images to 224 px into a cache file. Memory
is the most that the process ever held, above what the imports took. Writes files.json and files.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import write_result
from PIL import Image

SIDE, CLASSES = 300, ("benign", "malignant", "normal")
STEPS = {
    "scan and layout": "load_samples(root)",
    "headers": "read_headers(load_samples(root), 0)",
    "decoding to a cache file, 224 px": "build_store(load_samples(root), size=224, mode='disk')",
    "inspect, with duplicates": "run(['inspect', str(root)])",
}
PROCESS = """
import json, resource, sys, time
from pathlib import Path
from cass_cli.cli.app import run
from cass_cli.data.image_rows import read_headers
from cass_cli.data.sources import load_samples
from cass_cli.data.store.store import build_store
def most(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
root, before, began = Path(sys.argv[1]), most(), time.monotonic()
{step}
print()
print(json.dumps({{"seconds": time.monotonic() - began, "mib": most() - before}}))
"""


def main() -> None:
    """Draw, measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the images are drawn, and kept")
    parser.add_argument("--files", type=int, default=25_000)
    given = parser.parse_args()
    rows = []
    for files in (given.files // 10, given.files):
        root = drawn(given.folder / f"{files}", files)
        for step, code in STEPS.items():
            rows.append({"files": files, "step": step, **measured(code, root)})
            print(f"{files:>7,} {step:34} {rows[-1]['seconds']:8.1f} s {rows[-1]['mib']:8.0f} MiB", flush=True)
    path = write_result("files", {"side": SIDE, "rows": rows})
    path.with_suffix(".md").write_text(page(rows), encoding="utf-8")
    print(f"Written: {path}, {path.with_suffix('.md')}")


def drawn(root: Path, files: int) -> Path:
    """Draw the images that are not there yet: smooth noise, each its own."""
    (root / "patients.csv").parent.mkdir(parents=True, exist_ok=True)
    lines = ["image,patient,sex,age"]
    for i in range(files):
        name = f"{CLASSES[i % 3]}/{i:06}.jpg"
        lines.append(f"{name},P{i // 3},{'FM'[i % 2]},{20 + i % 60}")
        if not (root / name).is_file():
            (root / name).parent.mkdir(exist_ok=True)
            small = np.random.default_rng(i).integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(root / name, quality=85)
    (root / "patients.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def measured(step: str, root: Path) -> dict[str, Any]:
    """Run a step in a process and a cache of its own."""
    cache = tempfile.mkdtemp()
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROCESS.format(step=step), str(root)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "CASS_CACHE": cache},
        )
    finally:
        shutil.rmtree(cache)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def page(rows: list[dict[str, Any]]) -> str:
    """Return the table as Markdown."""
    sizes = sorted({row["files"] for row in rows})
    lines = [
        "# Many files: time and memory",
        "",
        f"JPEGs of {SIDE} px, made by `benchmarks/files.py`. Memory: the most the process held, above its imports.",
        "",
        f"| | {' | '.join(f'{n:,} files' for n in sizes)} | bytes a file, of the difference |",
        "|---|---|---|---|",
    ]
    for step in STEPS:
        few, many = (next(row for row in rows if (row["files"], row["step"]) == (n, step)) for n in sizes)
        each = (many["mib"] - few["mib"]) * 2**20 / (many["files"] - few["files"])
        told = " | ".join(f"{row['seconds']:.1f} s, {row['mib']:.0f} MiB" for row in (few, many))
        lines.append(f"| {step} | {told} | {max(0, each):,.0f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
