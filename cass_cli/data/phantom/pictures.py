"""The embedded demo set: generated pictures that look like dermatoscopy, in four classes.

Nothing here is a diagnosis; it only has to be learned like one. What tells the classes apart is colour and texture
within a lesion that lies anywhere, under varying light, hairs and skin, so raw pixels in a linear model do poorly and
a small network does well:

    basal_cell_carcinoma   pink and faint, red vessels, blue-grey nests
    keratosis              sharp border, waxy, white and dark dots
    melanoma               irregular, of several colours, streaks
    nevus                  round, evenly brown, a regular network

Image i of class c depends on (seed, c, i) alone, whatever the number of images.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cass_cli.data.phantom.lesions import add_basal_cell_carcinoma, add_keratosis, add_melanoma, add_nevus
from cass_cli.data.phantom.skin import draw_skin, photograph
from cass_cli.errors import DataError
from cass_cli.files import whole_file, write_json

LESIONS = {
    "basal_cell_carcinoma": add_basal_cell_carcinoma,
    "keratosis": add_keratosis,
    "melanoma": add_melanoma,
    "nevus": add_nevus,
}
CLASSES = tuple(LESIONS)
MANIFEST = ".phantom.json"
VERSION = 2
"""Raised when the pictures change, so that an older set is not taken for this one."""


def make_phantoms(root: Path, *, images_per_class: int = 150, size: int = 128, seed: int = 0) -> Path:
    """Write root/<class>/<class>_0001.png … (8-bit RGB, size × size) and return `root`.

    A set with the same parameters is left as it is, but for images that have gone missing; a new one appears
    whole or not at all. Raises DataError if `root` holds anything else.
    """
    wanted = {"version": VERSION, "images_per_class": images_per_class, "size": size, "seed": seed}
    if _read_manifest(root) == wanted:
        _write_images(root, images_per_class=images_per_class, size=size, seed=seed)
        return root
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DataError(
            f"{root} already holds something other than this demo set ({_describe(wanted)}).",
            hint="Give another folder, or remove that one first.",
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        partial.chmod(0o755)
        _write_images(partial, images_per_class=images_per_class, size=size, seed=seed)
        write_json(partial / MANIFEST, wanted)
        _move_into_place(partial, root, wanted)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # not there any more when all went well
    return root


def phantom_image(label: str, *, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One picture of the class `label` (one of CLASSES): uint8 [size, size, 3]."""
    assert label in CLASSES, label
    skin = draw_skin(size, rng)
    return photograph(skin, LESIONS[label](skin, rng), rng)


def _write_images(folder: Path, *, images_per_class: int, size: int, seed: int) -> None:
    """Write those images that are not there."""
    for index, label in enumerate(CLASSES):
        (folder / label).mkdir(exist_ok=True)
        for number in range(images_per_class):
            path = folder / label / f"{label}_{number + 1:04d}.png"
            if path.exists():
                continue
            pixels = phantom_image(label, size=size, rng=np.random.default_rng([seed, index, number]))
            with whole_file(path, durable=False) as file:
                Image.fromarray(pixels).save(file, "PNG", compress_level=1)


def _move_into_place(partial: Path, root: Path, wanted: dict[str, int]) -> None:
    """Rename, which replaces an empty folder; if another process was faster with the same set, its set stays."""
    try:
        partial.replace(root)
    except OSError:
        if not root.exists() or _read_manifest(root) != wanted:
            raise


def _read_manifest(root: Path) -> object:
    try:
        return json.loads((root / MANIFEST).read_text())
    except (OSError, ValueError):
        return None


def _describe(wanted: dict[str, int]) -> str:
    return ", ".join(f"{key} {value}" for key, value in wanted.items())
