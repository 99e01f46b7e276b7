"""Attacks on privacy: what is meant to leave a machine is searched for whose machine it was, and for patients.

One world, whose user, host and kernel have names of their own and whose DICOM files name patients, is worked in by all
commands once; an attack is one secret in one kind of file, or in what one command said.
"""

from __future__ import annotations

import base64
import getpass
import html
import os
import platform
import re
import shutil
import socket
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from unittest.mock import patch

import numpy as np

from tests.faults.outcome import Attack, Result
from tests.faults.world import ARMS, World

CASES = 8  # images of each class
HOST, KERNEL, USER = "icu-workstation-77", "9.87.65-fake-kernel", "anna.secretova"
PATIENT = {
    "PatientName": "Doe^Jane^Q",
    "PatientID": "MRN-4711-XYZ",
    "PatientBirthDate": "19310417",
    "InstitutionName": "StElsewhereHospital",
    "ReferringPhysicianName": "House^Gregory",
    "AccessionNumber": "ACC-90210",
    "StudyInstanceUID": "1.2.826.0.1.99.4711",
    "PatientAddress": "Evergreen-Terrace-742",
}
TRAIN = (*ARMS, "--batch-size", "8", "--lr", "1e-3")
RUN = ("--run", "{runs}/p")
COMMANDS: dict[str, tuple[str, ...]] = {
    "inspect": ("inspect", "{data}", "--csv", "{work}/seen.csv"),
    "pretrain": (
        *("pretrain", *TRAIN, "--init", "random", "--epochs", "1", "--data", "{data}", "--runs", "{runs}"),
        *("--name", "p"),
    ),
    "finetune": ("finetune", *RUN, "--recipe", "paper", "--epochs", "1", "--batch-size", "8", "--no-guard"),
    "evaluate": ("evaluate", *RUN, "--resamples", "0"),
    "attention-maps": ("attention-maps", *RUN, "--samples", "4", "--pdf"),
    "errors": ("errors", *RUN, "--count", "4"),
    "predict": ("predict", "pictures", *RUN, "--out", "{work}/answers.csv"),
    "compare": ("compare", "{runs}/p", "--csv", "{work}/c.csv", "--markdown", "{work}/c.md", "--latex", "{work}/c.tex"),
    "report": ("report", "{runs}/p", "--out", "{work}/report.html"),
    "card": ("card", "{runs}/p"),
}
LEAVING: dict[str, tuple[str, ...]] = {
    "report": ("report.html",),
    "errors": ("errors-*.html",),
    "card": ("model-card.md", "model-card.json", "checklist-*.md"),
    "cards": ("arms/*.json",),
    "weights": ("arms/*.safetensors",),
    "figures": ("*.png", "*.pdf"),
    "evaluation": ("evaluation-*.json", "predictions-*.csv", "attention-maps.csv"),
    "predictions": ("answers.csv",),
    "inspection": ("seen.csv",),
    "comparison": ("c.csv", "c.md", "c.tex"),
    "environment": ("environment.json",),
    "summary": ("summary.json", "metrics.jsonl"),
    "splits": ("splits.csv",),
}
"""What is meant to leave, or may well: by name, the files."""
STAYS = {**dict.fromkeys(LEAVING, ()), "summary": ("runs", "work")}  # where the run lies, as in its config.yaml


def attacks(world: World, *, sample: int | None = None) -> Iterator[Attack]:
    """An attack for each secret and kind of file that leaves, and for each field of a patient anywhere."""
    chosen = [(f"{of}/{secret}", of, secret) for of in LEAVING for secret in secrets(world) if secret not in STAYS[of]]
    chosen += [(f"everything/{field}", "everything", field) for field in PATIENT]
    chosen += [(f"said/{command}/{field}", command, field) for command in COMMANDS for field in (*PATIENT, "host")]
    if sample is not None:
        chosen = Random(0).sample(chosen, sample)
    found: dict[str, bytes] = {}
    for name, of, secret in chosen:
        yield Attack("privacy", f"privacy/{name}", partial(_searched, world, of, secret, found), of)


def secrets(world: World) -> Mapping[str, str]:
    """Return what nothing that leaves may hold, by what it is."""
    home = world.base / USER
    places = {"home": home, "cache": home / "cache", "runs": world.runs, "data": world.data, "work": world.work}
    return {
        "host": HOST,
        "kernel": KERNEL,
        "user": USER,
        **{name: str(path) for name, path in places.items()},
        **PATIENT,
    }


def _searched(world: World, of: str, secret: str, found: dict[str, bytes]) -> Result:
    if not found:
        found |= _worked(world)
    text = secrets(world)[secret].encode()
    patterns = LEAVING.get(of, ("*",) if of == "everything" else (f"/said/{of}",))
    files = {path: data for path, data in found.items() if any(Path(path).match(pattern) for pattern in patterns)}
    if not files:
        return Result("lost", f"nothing is called {patterns}")
    hits = [path for path, data in files.items() if any(text in part for part in _within(path, data))]
    return Result("leaked", f"{secret} {text.decode()} in {hits[:5]}") if hits else Result("equal")


def _within(path: str, data: bytes) -> Iterator[bytes]:
    """Yield what a file holds, also what is packed in it."""
    yield data
    if path.endswith(".html"):
        yield html.unescape(data.decode()).encode()
        for packed in re.findall(rb"base64,([A-Za-z0-9+/=]+)", data):
            yield base64.b64decode(packed)
    if path.endswith(".pdf"):
        for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL):
            try:
                yield zlib.decompress(stream)
            except zlib.error:
                continue


def _worked(world: World) -> dict[str, bytes]:
    """Return what all commands wrote and said, in a world of secrets, by path."""
    shutil.rmtree(world.work, ignore_errors=True)
    _draw(world.data)
    home = world.base / USER
    found = {}
    with _elsewhere(home):
        for name, command in COMMANDS.items():
            with patch.object(sys, "argv", [str(home / "bin" / "cass"), *world.filled(command)]):
                outcome = world.run(command)
            assert outcome.code == 0, f"{name}: {outcome.said}"
            found[f"/said/{name}"] = outcome.said.encode()
    paths = [path for folder in (world.work, home) for path in folder.rglob("*") if path.is_file()]
    return found | {str(path): path.read_bytes() for path in paths if world.data not in path.parents}


@contextmanager
def _elsewhere(home: Path) -> Iterator[None]:
    """Be another user on another machine."""
    home.mkdir(exist_ok=True)
    real = platform.uname()
    uname = real._replace(node=HOST, release=KERNEL, version=f"#1 {KERNEL}")
    told: tuple[tuple[object, str, Callable[[], object]], ...] = (
        (platform, "node", lambda: HOST),
        (platform, "release", lambda: KERNEL),
        (platform, "uname", lambda: uname),
        (platform, "platform", lambda *_, **__: f"{real.system}-{KERNEL}-{real.machine}-with-glibc2.36"),
        (socket, "gethostname", lambda: HOST),
        (getpass, "getuser", lambda: USER),
    )
    with ExitStack() as stack:
        for module, name, value in told:
            stack.enter_context(patch.object(module, name, value))
        names = {"HOME": str(home), "USER": USER, "LOGNAME": USER, "HOSTNAME": HOST, "CASS_CACHE": str(home / "cache")}
        stack.enter_context(patch.dict(os.environ, names))
        yield


def _draw(root: Path) -> None:
    """Draw DICOM files of two classes, each with all that a hospital writes into one."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    rng = np.random.default_rng(0)
    for shade, label in enumerate(("dark", "light")):
        (root / label).mkdir(parents=True)
        for case in range(CASES):
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
            meta.MediaStorageSOPInstanceUID = generate_uid()
            meta.TransferSyntaxUID = ExplicitVRLittleEndian
            path = root / label / f"{case}.dcm"
            file = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
            file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
            for name, value in PATIENT.items():
                setattr(file, name, value)
            file.Modality, file.PhotometricInterpretation, file.SamplesPerPixel = "OT", "MONOCHROME2", 1
            file.Rows = file.Columns = 40
            file.BitsAllocated = file.BitsStored = 8
            file.HighBit, file.PixelRepresentation = 7, 0
            pixels = rng.integers(0, 128, (40, 40)) + 60 * shade
            file.PixelData = pixels.astype(np.uint8).tobytes()
            file.save_as(path, enforce_file_format=True)
