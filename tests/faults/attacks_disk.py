"""Attacks on the disk under a command: killed at each operation, refused each operation, limited in size."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from cass_cli.files import is_draft
from cass_cli.runs.latest import LATEST
from tests.faults.layer import FILLING, FULL, Killed, Layer, Operation, attacked
from tests.faults.outcome import Attack, Result
from tests.faults.world import JOBS, Job, Outcome, World, differences, operations, prepare, results

SAYS = re.compile(r"disk is full|quota is used up|larger than files may be|No space left|quota exceeded|too large")


def attacks(world: World, job: Job, *, sample: int | None = None) -> Iterator[Attack]:
    """Points of the command by a fixed seed: a stratified sample, of so many where it is said."""
    seen = operations(world, job)
    for number, how in _points(job, seen, sample):
        kind = "killed" if how.startswith("killed") else "disk full"
        name = f"disk/{job.name}/{number:03}-{how.replace(' ', '-')}"
        yield Attack(kind, name, partial(_strike, world, job, number, how), f"{how} {' '.join(seen[number])}")
    for limit in _limits(job, sample):
        name = f"disk/{job.name}/ulimit-{limit}"
        yield Attack("ulimit -f", name, partial(_limited, world, job, limit), f"{limit} bytes a file")


def _points(job: Job, seen: list[Operation], sample: int | None) -> list[tuple[int, str]]:
    """Return where and how to strike: of each kind of operation and ending of file a share, by a fixed seed."""
    random, strata = Random(f"{job.name} {len(seen)}"), dict[tuple[str, str], list[tuple[int, str]]]()
    for number, (kind, path) in enumerate(seen):
        hows = ["killed before"] if job in JOBS else []
        if kind == "write":
            hows += ["killed in"] if job in JOBS else []
            hows += [f"{random.choice(list(FULL))} once in"]
        if kind in FILLING:
            hows += [f"{random.choice(['ENOSPC', 'EDQUOT'])} {random.choice(['once', 'lasting'])} before"]
        for how in hows:
            strata.setdefault((how.split()[0][:6] + kind, Path(path).name), []).append((number, how))
    for points in strata.values():
        random.shuffle(points)
    order = list(strata.values())
    random.shuffle(order)
    found = [points[turn] for turn in range(max(map(len, order))) for points in order if turn < len(points)]
    return sorted(found[: sample or (48 if job in JOBS else 18)])


def _limits(job: Job, sample: int | None) -> list[int]:
    return [100, 5_000, 100_000] if sample is None else [5_000] if job.name in ("pretrain", "probe") else []


def _strike(world: World, job: Job, number: int, how: str) -> Result:
    wanted = results(world, job)
    prepare(world, job)
    before, written = world.seen(), _written(world, job)
    what, halfway = how.partition(" ")[0], how.endswith(" in")
    layer = Layer(world.work, number, FULL.get(what, 0), halfway=halfway, lasting=" lasting " in how)
    outcome = _under(world, layer, job)
    if what == "killed":
        assert outcome.code is None or not layer.struck, "a killed command does not end"
        if lost := _half_replaced(world, job, written):
            return Result("lost", lost)
        return recovered(world, job, before, wanted, resume_first=number % 2 == 0)
    return refused(world, job, outcome, before, wanted, resume_first=number % 2 == 0)


def _under(world: World, layer: Layer, job: Job) -> Outcome:
    with attacked(layer):
        try:
            return world.run(job.command)
        except Killed:
            return Outcome(None, "")


def _limited(world: World, job: Job, limit: int) -> Result:
    """Let no file be larger than `limit` bytes: the real thing, as `ulimit -f` does it."""
    wanted = results(world, job)
    prepare(world, job)
    before, (soft, hard) = world.seen(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        outcome = world.run(job.command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    return refused(world, job, outcome, before, wanted, resume_first=True)


def refused(
    world: World, job: Job, outcome: Outcome, before: dict[str, Any], wanted: dict[str, Any], **how: bool
) -> Result:
    """Judge a command that the disk refused something: it says so, leaves nothing broken, and goes on."""
    now = world.seen()
    if outcome.code == 0:  # what was refused can be done without
        found = differences(wanted, now)
        return Result("silent difference", "; ".join(found[:5])) if found else Result("equal")
    said, folder = ("".join(text.split()) for text in (outcome.said, str(world.work)))
    if outcome.code != 2 or outcome.traceback or not SAYS.search(outcome.said) or folder not in said:
        return Result("traceback", f"exit {outcome.code}: {outcome.said}")
    if left := [path for path in now if is_draft(Path(path)) or "/.locks" in path]:
        return Result("left over", "; ".join(left))
    if broken := [path for path, value in now.items() if isinstance(value, str) and value.startswith("broken")]:
        return Result("lost", f"half a file: {broken}")
    result = recovered(world, job, before, wanted, **how)
    return Result("told") if result.word == "equal" else result


def recovered(world: World, job: Job, before: dict[str, Any], wanted: dict[str, Any], *, resume_first: bool) -> Result:
    """Type what a user types after a run that died, and compare with the run that did not."""
    ways, said = [job.resume or job.command, job.command], []
    for command in ways if resume_first else ways[::-1]:
        outcome = world.run(command)
        said.append(f"{' '.join(command[:1] + command[-3:])}: exit {outcome.code}: {outcome.said[-1500:]}")
        if outcome.traceback:
            return Result("traceback", said[-1])
        found = differences(wanted, world.seen())
        if not found:
            return Result("equal")
        changed = [each for each in differences(before, world.seen()) if each.split()[0].rpartition("/")[2] != LATEST]
        if outcome.code == 0 and not (command == job.resume and not changed):  # the old one, of which nothing was gone
            left = all(each.endswith("left over") for each in found)
            return Result("left over" if left else "silent difference", "; ".join(found[:6]) + f"\n{said}")
    return Result("lost", f"{found[:6]}" + "\n".join(said))


def _half_replaced(world: World, job: Job, written: dict[str, int]) -> str:
    """Say what is under the name of what was replaced, if it is neither the old one nor (the beginning of) the new."""
    now = _written(world, job)
    kept, missing = [path for path in written if now.get(path) == written[path]], written.keys() - now.keys()
    return (
        f"half of the old one is left: {sorted(missing)[:3]} are gone, {kept[:3]} are there" if kept and missing else ""
    )


def _written(world: World, job: Job) -> dict[str, int]:
    """Return when the files of what the job replaces were written, but for those that it shares with others."""
    files = [path for path in (world.work / job.replaces).rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path): path.stat().st_mtime_ns for path in files if path.stat().st_nlink == 1} if job.replaces else {}
