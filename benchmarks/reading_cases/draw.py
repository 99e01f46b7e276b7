"""Draw a data set small: noise for images, tables, text, DICOM; and keep the truth about each image."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Label = str | Sequence[str]


@dataclass(frozen=True)
class Truth:
    """What is true of one image. `views`: name → its labels; "" as split or group is "not stated".

    `read` is "yes", "no" (a mask, a copy, an image of no class) or "free" (either is right).
    """

    views: Mapping[str, tuple[str, ...]]
    split: str = ""
    group: str = ""
    read: str = "yes"


class Draw:
    """Writes files below `root` and remembers what they are. Seeded: every run draws the same."""

    def __init__(self, root: Path, seed: int = 0) -> None:
        self.root = root
        self.truth: dict[str, Truth] = {}
        self._generator = np.random.default_rng(seed)

    def image(self, name: str, label: Label = (), split: str = "", group: Any = "", **views: Label) -> str:
        """Draw an image of the set; `views` are other ways to label it that may be right as well."""
        self._write(name)
        return self.note(name, label, split, group, views=views)

    def fill(
        self,
        folder: str,
        label: Label = (),
        split: str = "",
        each: int = 6,
        name: str = "{i}.jpg",
        group: str = "",
        views: Mapping[str, Label] | None = None,
    ) -> list[str]:
        """Draw `each` images in one folder; in `name` and `group`, {i} counts images from 1 and {p} pairs of them."""
        names = []
        for i in range(1, each + 1):
            path = f"{folder}/{name.format(i=i, p=(i + 1) // 2)}"
            names.append(self.image(path, label, split, group.format(i=i, p=(i + 1) // 2), **(views or {})))
        return names

    def note(
        self,
        name: str,
        label: Label = (),
        split: str = "",
        group: Any = "",
        *,
        read: str = "yes",
        views: Mapping[str, Label] | None = None,
    ) -> str:
        """State what is true of an image that was written otherwise."""
        labels = {view: _labels(one) for view, one in ({"label": label} | dict(views or {})).items()}
        self.truth[name] = Truth(labels, split, str(group), read)
        return name

    def aside(self, name: str, *, grey: bool = True) -> str:
        """Draw what must not be read as an image of the set: a mask, a copy, a figure."""
        self._write(name, grey=grey)
        self.truth[name] = Truth({}, read="no")
        return name

    def free(self, name: str, split: str = "") -> str:
        """Draw an image without a label, which may be read as such or left out."""
        self._write(name)
        self.truth[name] = Truth({}, split, read="free")
        return name

    def copy(self, name: str, of: str) -> str:
        """Write the bytes of another image again, as a thing not to be read twice."""
        self.file(name, (self.root / of).read_bytes())
        self.truth[name] = Truth({}, read="no")
        return name

    def file(self, name: str, content: str | bytes) -> str:
        """Write a file of any other kind."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    def table(self, name: str, header: str, rows: Iterable[Sequence[Any]], delimiter: str = ",") -> str:
        """Write a CSV; `header` is parted by commas, "" for none."""
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        if header:
            writer.writerow(header.split(","))
        writer.writerows(rows)
        return self.file(name, text.getvalue())

    def sheet(self, name: str, header: str, rows: Iterable[Sequence[Any]]) -> str:
        """Write a stand-in for a spreadsheet: no reader here opens one, so its first bytes are enough."""
        cells = "\n".join("\t".join(map(str, row)) for row in [header.split(","), *rows])
        return self.file(name, b"PK\x03\x04" + cells.encode())

    def dicom(self, name: str, *, pixels: bool = True, meta: bool = True, **tags: Any) -> str:
        """Write a 48 × 48 DICOM image of 12 bits; without `pixels` or file meta as asked."""
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import ImplicitVRLittleEndian

        data = Dataset()
        data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
        data.SOPInstanceUID = f"1.2.3.{len(self.truth)}"
        data.Rows = data.Columns = 48
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
        for tag, value in tags.items():
            setattr(data, tag, value)
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        if pixels:
            data.PixelData = self._generator.integers(0, 4000, (48, 48)).astype("<u2").tobytes()
        if not meta:
            del data.file_meta
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=meta)
        return name

    def _write(self, name: str, *, grey: bool = False, side: int = 32) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (side, side) if grey else (side, side, 3)
        Image.fromarray(self._generator.integers(0, 255, shape, dtype=np.uint8)).save(path)


def _labels(label: Label) -> tuple[str, ...]:
    return (label,) if isinstance(label, str) and label else tuple(label)
