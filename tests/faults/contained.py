"""Hostile attacks: a command in a process of its own, held to ten seconds and two gigabytes, and how it is judged."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.outcome import Result
from tests.faults.world import Outcome, World

SECONDS, MEMORY = 10.0, 2_000_000_000  # of one command, beyond what the process held before
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
GIVE_UP = 60.0  # seconds by the clock after which the process is killed


@dataclass(frozen=True)
class Measured:
    """How a command ended, and what it and its processes took: the most memory beyond what was held before."""

    outcome: Outcome
    seconds: float  # of the processor, so that other work on the machine has no say
    memory: int  # bytes


def contained(world: World, command: Sequence[str], *, given: bytes = b"") -> Measured:
    """Run `cass` in a copy of this process, as `World.run` does, with `given` on its standard input.

    It is killed once it takes more memory than it may, twice the time of the processor, or a minute.
    """
    reads, writes = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _run_and_leave(lambda: world.run(command), writes, given)
    os.close(writes)
    held = int.from_bytes(os.read(reads, 8))
    most, said = 0, b""
    times: dict[int, float] = {}
    os.set_blocking(reads, False)
    while time.monotonic() - began < GIVE_UP and sum(times.values()) < 2 * SECONDS and most <= MEMORY:
        family = _family(child)
        most = max(most, sum(map(_resident, family)) - held)
        times |= {process: _processor(process) for process in family}
        with suppress(BlockingIOError):
            if not (part := os.read(reads, 1 << 20)):
                break
            said += part
            continue
        time.sleep(0.01)
    os.close(reads)
    for process in reversed(_family(child)):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        outcome: Outcome = pickle.loads(said)  # from the process begun above
    except (EOFError, pickle.UnpicklingError):
        outcome = Outcome(None, "killed")
    waited = time.monotonic() - began >= GIVE_UP
    return Measured(outcome, max(sum(times.values()), GIVE_UP if waited else 0.0), most)


def verdict(world: World, found: Measured, before: Any, *, named: Sequence[str] = ()) -> Result:
    """Judge: `before` is what `outside(world)` was; one who is told must read one of `named`."""
    seen = f"{found.seconds:.1f} s, {found.memory / 1e6:,.0f} MB: {found.outcome.said[-1500:]}"
    raw = {c for c in found.outcome.said if not c.isprintable() and c != "\n"}
    told = "".join(found.outcome.said.split())  # lines break anywhere
    unfit = {
        "wrote outside": before != outside(world),
        "too much memory": found.memory > MEMORY,
        "too slow": found.seconds > SECONDS,
        "traceback": found.outcome.code not in (0, 2) or found.outcome.traceback,
        "shown raw": bool(raw),
        "lost": found.outcome.code == 2 and bool(named) and not any(word in told for word in named),
    }
    word = next((word for word, is_so in unfit.items() if is_so), "told" if found.outcome.code else "equal")
    return Result(word, f"{sorted(raw)!r} {seen}" if word == "shown raw" else seen)


def outside(world: World) -> dict[str, Any]:
    """Return what lies beside the work of the world, where nothing may be written: content, by path."""
    found: dict[str, Any] = {}
    for folder, _, names in os.walk(world.victim):
        for name in names:
            path = Path(folder, name)
            found[str(path)] = path.readlink() if path.is_symlink() else path.read_bytes()
    return found


def _run_and_leave(run: Callable[[], Outcome], writes: int, given: bytes) -> None:
    """Do the work of the child: it never returns. It says first what memory it holds before it begins."""
    gc.freeze()  # nor does it tidy up after its parent, which would let it seem to take less
    with suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)  # what the parent has freed would serve it unseen
    try:
        os.write(writes, _resident(os.getpid()).to_bytes(8))
        reads, back = os.pipe()
        os.write(back, given)
        os.close(back)
        os.dup2(reads, 0)
        outcome = run()
        with open(writes, "wb") as pipe:
            pickle.dump(outcome, pipe)
    finally:
        os._exit(0)


def _family(process: int) -> list[int]:
    """Return a process and its descendants."""
    found = [process]
    for each in found:
        with suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _processor(process: int) -> float:
    """Return the seconds that a process has computed."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0


def _resident(process: int) -> int:
    """Return the bytes of memory that a process holds, but for files that are mapped, which the system may drop."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{process}/statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * PAGE
    return 0
