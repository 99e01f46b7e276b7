"""What a level of folders means, told from the names on it: classes, parts of an archive, patients, views, splits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal

from cass_cli.data.layouts.vocabulary import (
    CASE_STEMS,
    CLASS_STEMS,
    NO_CLASSES,
    PART_STEMS,
    PERSON_STEMS,
    SHORT_SPLITS,
    SPLIT_NAMES,
    UNSORTED,
    VIEWS,
    is_container,
    names_finding,
    plain,
    split_in,
    split_name,
    tokens,
)

Kind = Literal["class", "part", "person", "case", "view", "container", "wrapper", "unclear"]
"""`part`: of one archive, or one of several places that images come from. `unclear`: numbered by an unknown word."""

_MAGNIFICATION = re.compile(r"\d+\s?x|x\s?\d+", re.IGNORECASE)
_IDENTIFIER = re.compile(r"(?=.*\d)[0-9a-f-]{8,}|TCGA-.*|\d+(\.\d+){3,}", re.IGNORECASE)
_LETTERED = re.compile(r"^(.*?)([A-Za-z])$")
_SHORT_WORD = re.compile(r"(?<![a-z])[a-z](?![a-z])")
MOST_GRADES = 30  # bare numbers of up to two digits are grades while they are no more than this


def kind_of_level(names: Collection[str]) -> Kind:
    """Return what the folders `names`, which stand on one level, are."""
    if len(set(names)) < 2:
        return "wrapper"
    words = {name for name in names if not is_container(name)}
    if all(is_view(name) for name in words):
        return "view" if words else "container"
    words = {_LETTERED.sub(r"\1\g<2>0", name) if _lettered(name) else name for name in words}
    numbered = [name for name in words if any(c.isdigit() for c in name)]
    return _kind_of_numbered(words) if len(numbered) >= 0.9 * len(words) else "class"


def _lettered(name: str) -> bool:
    """True where a letter numbers a part or a person: `site_A`."""
    words = tokens(name)
    return len(words) > 1 and len(words[-1]) == 1 and words[-2] in PART_STEMS | PERSON_STEMS | CASE_STEMS


def _kind_of_numbered(names: set[str]) -> Kind:
    if all(name.isascii() and name.isdecimal() for name in names):
        longest = max(len(name) for name in names)
        if all(len(name) == 4 and 1950 <= int(name) <= 2035 for name in names):
            return "part"  # years
        few = len(names) <= MOST_GRADES and not (longest > 2 and any(name.startswith("0") for name in names - {"0"}))
        return "case" if not few or longest > 3 else "class" if longest < 3 else "unclear"
    if all(_IDENTIFIER.fullmatch(name) for name in names):
        return "case"
    stem, times = Counter(_stem(name) for name in names).most_common(1)[0]
    told = len(stem) > 2 and times == len(names) and stem in PERSON_STEMS | CASE_STEMS
    if not told and (stem in CLASS_STEMS or not differ_by_number(names)):
        return "class"
    kinds: dict[Kind, set[str]] = {"person": PERSON_STEMS, "case": CASE_STEMS, "part": PART_STEMS}
    return next((kind for kind, stems in kinds.items() if stem in stems), "unclear")


def differ_by_number(names: Collection[str]) -> bool:
    """True where nearly every name becomes another's when their numbers, and single letters, are left out."""
    skeletons = Counter(_SHORT_WORD.sub("@", re.sub(r"\d+", "#", name.lower())) for name in names)
    return sum(n for n in skeletons.values() if n > 1) >= 0.8 * len(names)


def is_view(name: str) -> bool:
    """True for a folder that tells how a picture was taken: `40X`, `left`, `T1`."""
    words = tokens(name)
    if _MAGNIFICATION.fullmatch(name.strip()) or plain(name) in VIEWS:
        return True
    return bool(words) and all(word in VIEWS for word in words)


def _stem(name: str) -> str:
    """Return the word before the first number of a name, "" for none: `HAM10000_images_part_1` → part."""
    words = tokens(name)
    places = [i for i, word in enumerate(words) if word.isdecimal()]
    last = places[-1] if places and words[places[-1] - 1].isalpha() else places[0] if places else 0
    stem = words[last - 1] if last else ""
    known = PART_STEMS | PERSON_STEMS | CASE_STEMS | CLASS_STEMS
    return stem if stem in known else next((words[i - 1] for i in places if i and words[i - 1] in known), stem)


def splits_of_level(names: Collection[str]) -> dict[str, str]:
    """Return name → split where the folders `names` are train and others; {} where they are not.

    Words within names count, `training_set`, and abbreviations beside each other, `tr` and `te`. A folder called as
    the split itself wins over another that would be the same one; what then names no split is absent.
    """
    distinct = set(names)
    short = {name: split for name in distinct if (split := split_name(name) or SHORT_SPLITS.get(name.lower()))}
    found = short if len(short) == len(distinct) else {n: s for n in distinct if (s := split_in(n) or _nnunet(n))}
    tested = {split for name, split in found.items() if not _says_evaluation(name)}
    found = {n: "val" if _says_evaluation(n) and s == "test" and "test" in tested else s for n, s in found.items()}
    exact = {split for name in found if (split := split_name(name))}
    found = {n: s for n, s in found.items() if s not in exact or split_name(n)}
    if "train" not in found.values() or (len(set(found.values())) < 2 and not exact):
        return {}
    return found


def _nnunet(name: str) -> str | None:
    """Return the split of `imagesTr` and `imagesTs`, as nnU-Net calls its folders."""
    return SHORT_SPLITS.get(tokens(name)[-1]) if is_container(name) and len(tokens(name)) == 2 else None


def _says_evaluation(name: str) -> bool:
    return not {"eval", "evaluation"}.isdisjoint(tokens(name))


def classes_beside_splits(splits: Mapping[str, str]) -> dict[str, str]:
    """Return name → class where folder names hold both: `train_benign`, `train_malignant`, `test_benign`; else {}."""
    rest = {name: "_".join(word for word in tokens(name) if word not in SPLIT_NAMES) for name in splits}
    told = {name: word for name, word in rest.items() if word and not is_container(word)}
    per_split = Counter(splits.values())
    classes = set(told.values())
    together = len(told) == len(splits) and len(classes) > 1 and max(per_split.values()) > 1
    return told if together and not differ_by_number(classes) and any(map(names_finding, classes)) else {}


def no_class(name: str) -> bool:
    """True for a folder that names no class among folders that do: `images`, `unlabeled`, `pred`."""
    return is_container(name) or plain(name) in NO_CLASSES or not UNSORTED.isdisjoint(tokens(name))
