"""Costly images are decoded in a process of their own, which is held to limits of time and memory.

The process is `apart_process.py`; it is kept for the next such image, and ends with this one. A request is one line of
JSON on its standard input; the answer is one line of JSON, and the pixels. At most `MOST` of them run, so that images
wait for each other rather than for memory.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cass_cli.data.decode.facts import HEADER_SECONDS, MEMORY, SECONDS, Decoded, DecodeError, ImageFacts, PixelRules
from cass_cli.words import shown

if TYPE_CHECKING:  # importing it takes half a second
    from cass_cli.config.schema import FitName

MOST = 2
WAIT = 60  # seconds by the clock and more, wherever processor time is limited; a disk may be slow
HEADER_PACE, PACE = 16_000_000, 5_000_000  # bytes a second: large files take long, harmless or not
LIMITED = sys.platform != "win32"  # by `resource`

_idle: list[subprocess.Popen[bytes]] = []
_slots = threading.BoundedSemaphore(MOST)


def read_apart(path: Path, *, frame: int | None, rules: PixelRules, size: int | None, fit: FitName) -> Decoded:
    """Return what `read_image` does; raises `DecodeError` also for an image that goes beyond the limits."""
    request = {"do": "read", "frame": frame, "size": size, "fit": fit}
    about, data = _ask(path, rules, request, SECONDS, PACE)
    pixels = np.frombuffer(bytearray(data), np.uint8).reshape(about["shape"])
    return Decoded(pixels, about["several_pages"])


def describe_apart(path: Path, rules: PixelRules) -> ImageFacts:
    """Return what `describe_image` does, within the same limits."""
    about, _ = _ask(path, rules, {"do": "describe"}, HEADER_SECONDS, HEADER_PACE)
    return ImageFacts(**about)


def _ask(
    path: Path, rules: PixelRules, request: Mapping[str, Any], least: float, pace: int
) -> tuple[dict[str, Any], bytes]:
    """Return the answer, and the bytes that belong to it; raises `DecodeError`.

    It may take the `least` seconds, of any file, or as many as a file of its size does at this `pace`.
    """
    with _slots:
        try:
            seconds = rules.ease * max(least, _held(path) / pace)
            process = _waiting() or _begun()
        except OSError as error:
            raise DecodeError(path, f"costly to decode, and no process could be begun: {error.strerror}") from error
        late = threading.Timer(WAIT + seconds if LIMITED else seconds, process.kill)
        late.start()
        try:
            assert process.stdin is not None and process.stdout is not None
            limits = {"seconds": seconds, "memory": round(MEMORY * rules.ease)}
            what = {**request, **limits, "path": os.fspath(path.absolute()), "rules": asdict(rules)}
            process.stdin.write(json.dumps(what).encode() + b"\n")
            process.stdin.flush()
            about = json.loads(process.stdout.readline())
            data = process.stdout.read(about.pop("bytes"))
        except (OSError, ValueError) as error:  # it is no more
            _end(process)
            raise DecodeError(path, _why_ended(process.returncode, seconds)) from error
        except BaseException:  # asked to stop while it worked
            _end(process)
            raise
        finally:
            late.cancel()
        _idle.append(process)
    if "reason" in about:
        raise DecodeError(path, about["reason"], hint=about["hint"])
    return about, data


def _held(path: Path) -> int:
    """Return how many bytes of the disk a file takes, 0 for none: holes in it cost whoever made it nothing."""
    try:
        facts = path.stat()
    except OSError:  # gone meanwhile, which the process will say
        return 0
    return min(facts.st_size, 512 * getattr(facts, "st_blocks", facts.st_size))  # Windows does not count blocks


def _waiting() -> subprocess.Popen[bytes] | None:
    """Return a process that has nothing to do; None where there is none, or it was ended meanwhile, by whoever."""
    try:
        process = _idle.pop()
    except IndexError:  # asked, not looked up before: another thread may be faster
        return None
    return process if process.poll() is None else None


def _begun() -> subprocess.Popen[bytes]:
    """Begin a process that imports what this one would, and nothing of the folder that it happens to stand in.

    It has imported that when this returns, so that a clock counts only what an image takes.
    """
    known = os.pathsep.join(place for place in sys.path if place)
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cass_cli.data.decode.apart_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **alone, "PYTHONPATH": known},
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _why_ended(code: int, seconds: float) -> str:
    if LIMITED:
        import signal

        if code not in (-signal.SIGXCPU, -signal.SIGKILL):
            ended = shown(signal.Signals(-code).name) if code < 0 else f"exit {code}"
            return f"its decoder failed ({ended}): damaged, or made to do so"
    return f"reading it takes more than {seconds:.0f} s (--max-pixels raises that, too)"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    process.wait()


@atexit.register
def _end_all() -> None:
    while _idle:
        _end(_idle.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # they belong to the process that began them
