"""Hold what cass read against the truth: right, told, stopped, unclear, lacking, wrong or crashed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .case import NO_GROUPS_KNOWN, Answer, Reads, Stops, Word
from .cass import Said
from .draw import Truth

OUTCOMES = ("right", "told", "stopped", "unclear", "lacking", "wrong", "crashed")
Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Reading:
    """What `cass inspect` made of a folder: its classes, and a row an image as `--csv` writes them."""

    classes: tuple[str, ...]
    multilabel: bool
    grouped: bool
    rows: Rows
    prefix: str  # from the folder that was given to the names of the truth


@dataclass(frozen=True)
class Verdict:
    """An outcome and why, in a few words."""

    outcome: str
    why: str


def judge(said: Said, reading: Reading | None, truth: Mapping[str, Truth], accepts: Iterable[Answer]) -> Verdict:
    """Return the best outcome that any accepted answer gives; `reading` is None where none came."""
    if said.code is None or said.code not in (0, 1, 2) or "fault of cass" in said.words:
        return Verdict("crashed", said.words[-200:])
    if said.code == 2 and "No such option" in said.words:
        return Verdict("lacking", "No such option")
    verdicts = [(_against(said, reading, truth, answer), isinstance(answer, Stops)) for answer in accepts]
    return min(verdicts, key=lambda each: (OUTCOMES.index(each[0].outcome), each[1]))[0]


def _against(said: Said, reading: Reading | None, truth: Mapping[str, Truth], answer: Answer) -> Verdict:
    if isinstance(answer, Reads):
        return _as_read(said, reading, truth, answer)
    if said.code in ((1, 2) if isinstance(answer, Stops) else (answer.code,)):
        missing = _unsaid(said, answer.words)
        good = "stopped" if said.code else "right"
        return Verdict(
            "unclear" if missing else good, f"{_unsaid_text(missing)}{said.words[:200] if said.code else ''}"
        )
    return Verdict("wrong", "read, with no stop" if said.code == 0 else f"exit code {said.code}: {said.words[:200]}")


def _as_read(said: Said, reading: Reading | None, truth: Mapping[str, Truth], answer: Reads) -> Verdict:
    if said.code == 2:
        return Verdict("unclear", f"stopped: {said.words[:200]}")
    if reading is None:
        return Verdict("crashed", f"no reading came: {said.words[-200:]}")
    faults = differences(reading, truth, answer, said)
    if faults:
        # Exit code 1: the reading is shown, but nothing is trained on it.
        return Verdict("unclear" if said.code == 1 else "wrong", "; ".join(faults)[:300])
    if untold := _unsaid(said, answer.told):
        return Verdict("wrong", f"{_unsaid_text(untold)}read as {_summary(reading)}")
    if unsaid := _unsaid(said, answer.say):
        return Verdict("unclear", f"{_unsaid_text(unsaid)}read as {_summary(reading)}")
    by_word = answer.groups == "told" and not reading.grouped and any(one.group for one in truth.values())
    return Verdict("told" if answer.told or by_word else "right", _summary(reading))


def differences(reading: Reading, truth: Mapping[str, Truth], asked: Reads, said: Said) -> list[str]:
    """Return in which ways the reading is not the truth."""
    rows = {reading.prefix + row["image"]: row for row in reading.rows}
    truth = {name: one for name, one in truth.items() if name.startswith(reading.prefix)}
    faults = _of_images(rows, truth, asked)
    known = {name: row for name, row in rows.items() if name in truth and truth[name].read == "yes"}
    faults += _of_labels(reading, known, truth, asked)
    if asked.splits:
        faults += _of_splits(known, truth)
    if asked.groups != "free":
        faults += _of_groups(reading, known, truth, asked, said)
    return faults


def _of_images(rows: Mapping[str, Mapping[str, str]], truth: Mapping[str, Truth], asked: Reads) -> list[str]:
    faults = []
    extra = [name for name in rows if name not in truth or truth[name].read == "no"]
    if extra:
        faults.append(f"{len(extra)} read that should not be ({extra[0]})")
    wanted = [name for name, one in truth.items() if one.read == "yes"]
    gone = [name for name in wanted if name not in rows]
    if gone and not asked.lacking:
        faults.append(f"{len(gone)} of {len(wanted)} images not read ({gone[0]})")
    return faults


def _of_labels(
    reading: Reading, rows: Mapping[str, Mapping[str, str]], truth: Mapping[str, Truth], asked: Reads
) -> list[str]:
    if asked.labels is None:
        return [f"classes {_cut(reading.classes)} where none should be"] if reading.classes else []
    if not reading.classes:
        return ["read as unlabelled"]
    right = {name: set(truth[name].views.get(asked.labels, ())) for name in rows}
    classes = set().union(*right.values()) if right else set()
    if set(reading.classes) != classes:
        return [f"classes {_cut(reading.classes)}, not {_cut(sorted(classes))}"]
    if asked.multilabel is not None and reading.multilabel != asked.multilabel:
        return ["several classes an image" if reading.multilabel else "one class an image"]
    off = [name for name, row in rows.items() if set(filter(None, row["label"].split(";"))) != right[name]]
    return [f"{len(off)} images with a wrong label ({off[0]}: {rows[off[0]]['label']})"] if off else []


def _of_splits(rows: Mapping[str, Mapping[str, str]], truth: Mapping[str, Truth]) -> list[str]:
    """Return where a publisher's split is not kept; what he does not give may be carved from his train."""
    given = {truth[name].split for name in rows} - {""}
    carved = {"train"} | {split for split in ("val", "test") if split not in given}
    off = [
        f"{truth[name].split} → {row['split'] or 'none'}"
        for name, row in rows.items()
        if truth[name].split and row["split"] not in (carved if truth[name].split == "train" else {truth[name].split})
    ]
    return [f"{len(off)} images in a wrong split ({off[0]})"] if off else []


def _of_groups(
    reading: Reading, rows: Mapping[str, Mapping[str, str]], truth: Mapping[str, Truth], asked: Reads, said: Said
) -> list[str]:
    expected = _partition({name: truth[name].group for name in rows})
    found = _partition({name: row["group"] for name, row in rows.items()})
    if found == expected:
        return []
    if asked.groups == "told" and not reading.grouped:
        return _unsaid_list(said, (NO_GROUPS_KNOWN,))
    several = sum(len(group) > 1 for group in found)
    return [f"{several} groups of several images, not {sum(len(group) > 1 for group in expected)}"]


def _partition(groups: Mapping[str, str]) -> set[frozenset[str]]:
    """Return the sets of images that share a group; an image without one stands alone."""
    members: dict[str, set[str]] = defaultdict(set)
    for name, group in groups.items():
        members[f"group {group}" if group else f"alone {name}"].add(name)
    return {frozenset(names) for names in members.values()}


def _unsaid(said: Said, words: Iterable[Word]) -> list[str]:
    """Return the words that were not said, in any case of letters."""
    text = said.words.lower()
    alternatives = [(word,) if isinstance(word, str) else word for word in words]
    return [" or ".join(some) for some in alternatives if not any(word.lower() in text for word in some)]


def _unsaid_list(said: Said, words: Iterable[Word]) -> list[str]:
    return [f"unsaid: {word}" for word in _unsaid(said, words)]


def _unsaid_text(missing: list[str]) -> str:
    return f"unsaid: {', '.join(missing)}; " if missing else ""


def _summary(reading: Reading) -> str:
    kind = f"{len(reading.classes)} classes ({_cut(reading.classes)})" if reading.classes else "unlabelled"
    sizes = [sum(row["split"] == split for row in reading.rows) for split in ("train", "val", "test")]
    groups = len({row["group"] for row in reading.rows} - {""})
    return f"{len(reading.rows)} images {'/'.join(map(str, sizes))}, {kind}, {groups or 'no'} groups"


def _cut(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
