"""Fetching MedMNIST archives, only when asked to, through the `medmnist` package of the optional extra."""

from __future__ import annotations

import re
from pathlib import Path

from cass_cli.errors import DataError, did_you_mean


def download_medmnist(path: Path) -> None:
    """Fetch the archive that `path` names (`pathmnist.npz`, `pathmnist_224.npz`) to that place.

    Raises `DataError` when the name is none of MedMNIST's, the extra is missing, or the download fails.
    """
    named = re.fullmatch(r"([a-z0-9]+)(?:_(\d+))?\.npz", path.name)
    try:
        import medmnist
    except ImportError:
        raise DataError(
            "Downloading MedMNIST needs its package.",
            hint="pip install 'cass-cli[medmnist]', or fetch the file yourself.",
        ) from None
    known = sorted(medmnist.INFO)
    if named is None or named[1] not in medmnist.INFO:
        raise DataError(
            f"MedMNIST has no archive '{path.name}'.{did_you_mean(path.stem.partition('_')[0], known)}",
            hint="Names are like pathmnist.npz (28 px) or pathmnist_224.npz.",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = getattr(medmnist, medmnist.INFO[named[1]]["python_class"])
    try:
        dataset(split="train", download=True, root=str(path.parent), size=int(named[2] or 28))
    except Exception as error:
        raise DataError(
            f"{path.name} could not be fetched: {error}", hint="Fetch it by hand and name it with --data."
        ) from error
