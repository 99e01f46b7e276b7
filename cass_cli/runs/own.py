"""What lies in the folder of a run, and is not of it: links that lead out of it, pipes, devices.

Whoever writes through such a link changes files of others, whoever reads through it shows them, and whoever opens a
pipe waits for ever. So before anything is done with a run it is looked through.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from cass_cli.errors import RunError
from cass_cli.words import shown

OWN = (  # what cass writes into a run; beside it a user may keep and link anything
    *("config.yaml", "environment.json", "images.json", "manifest.json", "metrics.jsonl", "report.html"),
    *("splits.csv", "subgroups.csv", "summary.json", "trackers.json"),
    *("arms", "checkpoints", "features", "figures", "finetune", "tensorboard"),
)


def check_own(run: Path) -> None:
    """Raise `RunError` naming what in the folder `run`, which may be a link itself, is not of the run."""
    root = os.path.realpath(run)
    for entry in _entries(root, OWN):
        name = shown(str(run / os.path.relpath(entry.path, root)))
        if entry.is_symlink():
            check_no_loop(Path(entry.path))
            target = os.path.realpath(entry.path)
            if not target.startswith(root + os.sep):
                raise RunError(
                    f"{name} is a link that leads out of the run, to {shown(target)}: it is neither read nor written.",
                    hint="Put what it leads to in its place. To keep a run on another disk, move its folder as a "
                    "whole, and link that.",
                )
        elif not entry.is_dir(follow_symlinks=False) and not entry.is_file(follow_symlinks=False):
            raise RunError(f"{name} is no file, but a pipe, socket or device.", hint="Remove it.")


def check_no_loop(path: Path) -> None:
    """Raise `RunError` where `path` is, or lies behind, a link that leads back to itself."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RunError(f"{shown(str(path))} is a link that leads to itself.", hint="Remove it.") from error


def _entries(folder: str, names: Collection[str]) -> Iterator[os.DirEntry[str]]:
    """Yield what lies in a folder, at any depth, without following links; of the folder itself only `names`."""
    left = [folder]
    while left:
        try:
            found = list(os.scandir(at := left.pop()))
        except OSError:  # not ours to look into: whoever needs something in it is told
            continue
        for entry in found:
            if at != folder or entry.name in names:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
