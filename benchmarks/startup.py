"""How long until something happens: `cass --help`, and from the command to its first step on 200 images.

    python benchmarks/startup.py

Commands take turns, each in a process of its own. Beside them, what Python alone and importing PyTorch take.
Pretraining is the command as a user gives it, leaks looked for and gauges measured, ended when its first step is
reported. The files lie in the system's cache; small images for finding leaks are in ours from the second time on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from machine import write_result
from plain import write_images
from turns import Turn, circumstances, quartiles, take_turns

IMAGES = 200
FIRST_STEP = """
import os
from cass_cli.reports import progress
progress.PretrainDisplay.step = lambda *_: os._exit(0)
from cass_cli.__main__ import main
main()
"""


def main() -> None:
    """Measure, print a table and write benchmarks/results/<machine>/startup.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=11, help="times that each command is run")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--cnn", default="resnet18")
    parser.add_argument("--vit", default="vit_tiny_patch16_224")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder, "images"), images=IMAGES, size=given.image_size)
        pretrain = ["pretrain", "--data", str(Path(folder, "images")), "--init", "random", "--runs", str(Path(folder))]
        pretrain += ["--cnn", given.cnn, "--vit", given.vit, "--image-size", str(given.image_size), "--overwrite"]
        pretrain += ["--name", "startup"]
        commands = {
            "python -c pass": ["-c", "pass"],
            "import torch": ["-c", "import torch"],
            "cass --help": ["-m", "cass_cli", "--help"],
            "cass pretrain --help": ["-m", "cass_cli", "pretrain", "--help"],
            f"cass pretrain, first step ({IMAGES} images)": ["-c", FIRST_STEP, *pretrain],
        }
        contestants: Mapping[str, Turn] = {name: partial(run, command, folder) for name, command in commands.items()}
        for contestant in contestants.values():
            contestant()  # fills the system's file cache
        rows = {name: quartiles(seconds) for name, seconds in take_turns(contestants, turns=given.turns).items()}
    print(f"{'':42} seconds (quartiles)")
    for name, (median, low, high) in rows.items():
        print(f"{name:42} {median:.3f} ({low:.3f}–{high:.3f})")
    where = circumstances(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    print(f"\nWritten: {write_result('startup', {'settings': vars(given), **where, 'seconds': rows})}")


def run(arguments: list[str], folder: str) -> float:
    """Run Python with these arguments, and return the seconds that it took."""
    environment = {**os.environ, "CASS_CACHE": f"{folder}/cache"}
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
