"""Trains one network by lightly-train's DINO and prints the seconds of each epoch but the first, as a JSON list.

peers.py calls it, in a process of its own, because lightly-train owns the whole of a run. The seconds are from the
start of an epoch to its end, waiting for data included; DataLoader workers begin anew with each epoch, as
lightly-train has it by default.

Legend: S side of the two large crops, s of the small ones.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import lightly_train
from lightly_train._methods.dino.dino import DINO
from pytorch_lightning import Callback


class EpochClock(Callback):
    """Notes how long each epoch took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.began = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the clock, before the loader is asked for anything."""
        self.began = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Read the clock, after the last step of the epoch."""
        self.seconds.append(time.perf_counter() - self.began)


def main() -> None:
    """Train, and print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of images")
    parser.add_argument("--out", type=Path, required=True, help="folder for the run")
    parser.add_argument("--model", required=True, help="name in timm")
    parser.add_argument("--sides", type=int, nargs=2, required=True, help="S and s, in pixels")
    parser.add_argument("--small-crops", type=int, required=True)
    parser.add_argument("--prototypes", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    given = parser.parse_args()
    clock, (large, small) = EpochClock(), given.sides
    DINO.configure_callbacks = lambda _self: [clock]
    lightly_train.pretrain(
        out=given.out,
        data=given.data,
        model=f"timm/{given.model}",
        model_args={"img_size": large, "dynamic_img_size": True} if "vit" in given.model else {},
        method="dino",
        method_args={"output_dim": given.prototypes},
        transform_args={
            "image_size": (large, large),
            "local_view": {"num_views": given.small_crops, "view_size": (small, small)},
        },
        epochs=given.epochs,
        batch_size=given.batch_size,
        num_workers=2,
    )
    print(json.dumps(clock.seconds[1:]))


if __name__ == "__main__":
    main()
