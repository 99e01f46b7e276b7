"""A deflated DICOM data set, inflated no further than is allowed."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset, read_preamble
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from cass_cli.data.decode.facts import PixelRules, check_bytes
from cass_cli.data.decode.watched import HEADER, MEMORY, WatchedFile

HEAD = 2**12  # bytes in which a file says that it is deflated
COPIES = 3  # of the data, while they are read


def inflated(path: Path, file: WatchedFile, rules: PixelRules, *, header: bool) -> BinaryIO:
    """Return a file of the same data set, not deflated; the file itself where it never was. `header`: its beginning.

    Raises `DecodeError` for more than is allowed, `Costly` for what fills much memory.
    """
    head = file.read(HEAD)
    file.seek(0)
    if DeflatedExplicitVRLittleEndian.encode() not in head:
        return file
    read_preamble(file, force=True)
    meta = FileMetaDataset(read_dataset(file, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2))
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:  # it stands elsewhere
        file.seek(0)
        return file
    most = HEADER if header else rules.max_bytes if file.alone else MEMORY // COPIES
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(file.read(), most)
    if inflater.unconsumed_tail and not header:
        file.will_take(memory=MEMORY + 1)
        check_bytes(path, most + 1, rules, what=" inflated")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole: Any = DicomBytesIO()
    whole.write(bytes(128) + b"DICM")
    write_file_meta_info(whole, meta, enforce_standard=False)
    whole.write(data)
    whole.seek(0)
    return cast(BinaryIO, whole)
