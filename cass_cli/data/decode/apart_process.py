"""The process in which costly images are decoded: see `apart.py`.

Memory is limited to what the system gives to data (on Linux; elsewhere that may be without effect), time to that of
the processor.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from cass_cli.data.decode.facts import DecodeError, PixelRules
from cass_cli.data.decode.image import describe_here, read_here


def main(requests: BinaryIO, answers: BinaryIO) -> None:
    """Say that it is ready, by an empty line, and answer one request a line until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asks is stopped, and ends this
    answers.write(b"\n")
    answers.flush()
    for line in requests:
        about, data = _answer(json.loads(line))
        answers.write(json.dumps({**about, "bytes": len(data)}).encode() + b"\n" + data)
        answers.flush()


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    said: dict[str, Any] = request["rules"]
    rules = PixelRules(**said | {key: tuple(value) for key, value in said.items() if isinstance(value, list)})
    path = Path(request["path"])
    _limit(request["seconds"], request["memory"])
    try:
        if request["do"] == "describe":
            return asdict(describe_here(path, rules, alone=True)), b""
        decoded = read_here(
            path, frame=request["frame"], rules=rules, size=request["size"], fit=request["fit"], alone=True
        )
    except DecodeError as error:
        lacking = isinstance(error.__cause__, MemoryError)
        much = f"reading it takes more than {request['memory'] / 1e9:.1f} GB of memory (--max-pixels raises that, too)"
        return {"reason": much if lacking else error.reason, "hint": error.hint}, b""
    return {"shape": decoded.pixels.shape, "several_pages": decoded.several_pages}, decoded.pixels.tobytes()


def _limit(seconds: float, memory: int) -> None:
    """Let this image take so much memory and, from now on, so many seconds of the processor."""
    try:
        import resource
    except ImportError:  # Windows
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = round(used.ru_utime + used.ru_stime + seconds)
    for limit, value in ((resource.RLIMIT_CPU, until), (resource.RLIMIT_DATA, memory), (resource.RLIMIT_CORE, 0)):
        most = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (value if most == resource.RLIM_INFINITY else min(value, most), most))


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
