"""The folders of a set of images, level by level: what wraps, what is a copy, what is a split, what the others are."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cass_cli.data.layouts.levels import Kind, classes_beside_splits, is_view, kind_of_level, splits_of_level
from cass_cli.data.layouts.vocabulary import AUGMENTED, VARIANTS, split_in, tokens
from cass_cli.errors import DataError
from cass_cli.words import shown, shown_list

FOLDS = {"fold", "folds", "cv", "kfold"}
MOST_COPIES = 6  # folders that may hold the same images in other sizes or colours
COUNTED = 10_000  # below, a number in a file name may but count the images of its folder
_LONG = re.compile(r"\d{5,18}|[0-9a-f]{8,}", re.IGNORECASE)
_SIZE = re.compile(
    r"(32|64|96|128|160|192|224|256|299|320|384|448|512|600|768|1024|\d{2,4}[ _-]?(x|by)[ _-]?\d{2,4})(px)?"
)


@dataclass
class Tree:
    """The folders of N paths, and what is known of them so far."""

    paths: list[list[str]]  # folders of each path, from the top
    files: list[str]  # the name of the file at its end
    kinds: dict[int, Kind] = field(default_factory=dict)  # depth → what the folders there are
    splits: list[str] | None = None  # "" beside the split folders
    split_depths: set[int] = field(default_factory=set)
    told: list[str] | None = None  # classes told beside the splits: `train_benign`
    out: dict[int, str] = field(default_factory=dict)  # path → why it is left out
    notes: list[str] = field(default_factory=list)

    def inside(self, depth: int) -> list[int]:
        """Return the paths with a folder at `depth` that are not left out."""
        return [i for i, path in enumerate(self.paths) if len(path) > depth and i not in self.out]

    def at(self, depth: int) -> Counter[str]:
        """Return the folder names at `depth` and how many paths lead through each."""
        return Counter(self.paths[i][depth] for i in self.inside(depth))


def grow(names: Sequence[str], unread: Sequence[str] = (), *, named: int | None = None, doubting: bool = False) -> Tree:
    """Tell wrappers, copies and splits from the top down, and the kind of every other level.

    Files in formats that are not read, `unread`, come after the `names`: they still show where classes are. With
    `doubting`, raises `DataError` where folders hold copies of the same images. The folders at depth `named` are the
    classes, whatever they are called.
    """
    parts = [name.split("/") for name in (*names, *unread)]
    tree = Tree([path[:-1] for path in parts], [path[-1] for path in parts])
    for depth in range(max(map(len, tree.paths), default=0)):
        if depth == named:
            tree.kinds[depth] = "class"
            continue
        _leave_out_copies(tree, depth)
        if doubting:
            _check_augmented(tree.at(depth))
            _check_copies(tree, depth)
            _check_folds(tree, depth)
        _leave_out_sets(tree, depth)
        folders = tree.at(depth)
        if tree.splits and _repeats_splits(tree, depth):
            tree.split_depths.add(depth)
        elif splits := splits_of_level(folders):
            if doubting:
                _check_others(folders, splits, depth)
            _split_by(tree, depth, splits)
        else:
            tree.kinds[depth] = kind_of_level(folders)
    for depth, kind in tree.kinds.items():
        if kind in ("person", "case", "unclear") and _begin_alike(tree, depth):
            tree.kinds[depth] = "part"
        elif kind == "unclear" and (views := tree.at(depth + 1)) and all(map(is_view, views)):
            tree.kinds[depth] = "case"
    return tree


def _leave_out_copies(tree: Tree, depth: int) -> None:
    """Leave out a folder that holds folders called as those beside it: an archive unpacked into itself."""
    beside: dict[tuple[str, ...], set[str]] = defaultdict(set)
    below: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for i in tree.inside(depth):
        path = tree.paths[i]
        beside[tuple(path[:depth])].add(path[depth])
        if len(path) > depth + 1:
            below[tuple(path[: depth + 1])].add(path[depth + 1])
    copies = {at for at, held in below.items() if len(held) > 1 and held == beside[at[:-1]] - {at[-1]}}
    if len(copies) > 1 or all(at[-1].isdecimal() for at in copies):
        return
    for i in tree.inside(depth) if copies else ():
        if tuple(tree.paths[i][: depth + 1]) in copies:
            tree.out[i] = "in a copy of the folders beside it"


def _check_augmented(folders: Collection[str]) -> None:
    """Raise where folders of augmented copies stand beside those of the images themselves."""
    copies = sorted(name for name in folders if not AUGMENTED.isdisjoint(tokens(name)))
    others = sorted(set(folders).difference(copies))
    if copies and others:
        raise DataError(
            f"The folders {shown_list(copies, 3)} hold augmented copies, beside {shown_list(others, 3)}: trained "
            "together, images would be tested on that were trained on.",
            hint="Name the one folder that is meant.",
        )


def _check_copies(tree: Tree, depth: int) -> None:
    """Raise where folders hold files of the same names, no mere numbers: `224` and `512`, `raw` and `clahe`."""
    below: dict[str, set[str]] = defaultdict(set)
    folders = tree.at(depth)
    if not 1 < len(folders) <= MOST_COPIES or splits_of_level(folders):
        return
    sizes = all(_SIZE.fullmatch(name) for name in folders)
    if not sizes and all(VARIANTS.isdisjoint(tokens(name)) for name in folders):
        return
    for i in tree.inside(depth):
        below[tree.paths[i][depth]].add("/".join([*tree.paths[i][depth + 1 :], tree.files[i]]))
    first, *others = below.values()
    if (sizes or _distinctive(first)) and all(held == first for held in others) and len(first) > 2:
        raise DataError(
            f"The folders {shown_list(sorted(folders), 4)} hold files of the same names: one set of images, in several "
            "sizes or colours.",
            hint=f"Name one of the folders. If the images differ: --class-level {depth + 1}, or --layout flat.",
        )


def _distinctive(paths: Collection[str]) -> bool:
    """True for file names that two images hardly share: long numbers that do not count from 0 or 1, or identifiers."""
    found = [_LONG.search(path.rpartition("/")[2]) for path in paths]
    names = [match.group() for match in found if match]
    return len(names) == len(paths) and not any(name.isdecimal() and int(name) < COUNTED for name in names)


def _check_others(folders: Counter[str], splits: Mapping[str, str], depth: int) -> None:
    """Raise where `train` alone stands beside several folders of as many images: those may be the classes."""
    others = {name: n for name, n in folders.items() if name not in splits}
    if set(splits.values()) == {"train"} and len(others) > 1 and 2 * sum(others.values()) >= folders.total():
        raise DataError(
            f"{shown_list(sorted(splits))} stands beside {shown_list(sorted(others), 4)}: splits, or classes?",
            hint="For what lies in the former, name that folder. If all of them are classes: --class-level "
            f"{depth + 1}.",
        )


def _check_folds(tree: Tree, depth: int) -> None:
    """Raise where several folds hold train and test folders each: every image is in all of them."""
    folds = [name for name in tree.at(depth) if FOLDS.intersection(tokens(name))]
    if len(folds) > 1 and splits_of_level(tree.at(depth + 1)):
        raise DataError(
            f"The folders {shown_list(sorted(folds), 4)} hold splits of their own, and each of them all images.",
            hint="Name the folder of one fold.",
        )


def _leave_out_sets(tree: Tree, depth: int) -> None:
    """Leave out a folder with train and test folders of its own where most images lie in folders without."""
    below: dict[str, set[str]] = defaultdict(set)
    images = tree.inside(depth)
    for i in images:
        path = tree.paths[i]
        below[path[depth]].update(path[depth + 1 : depth + 2])
    apart = {name for name, held in below.items() if splits_of_level(held)}
    inside = [i for i in images if tree.paths[i][depth] in apart]
    if tree.splits is None and 2 * len(inside) < len(images):
        tree.out |= dict.fromkeys(inside, "in a set of its own, with splits")


def _begin_alike(tree: Tree, depth: int) -> bool:
    """True where each folder below begins as the one it lies in: `p10/p10000032` is a shard of patients."""
    pairs = {(tree.paths[i][depth], tree.paths[i][depth + 1]) for i in tree.inside(depth + 1)}
    return bool(pairs) and all(lower.startswith(upper) and lower != upper for upper, lower in pairs)


def _split_by(tree: Tree, depth: int, splits: dict[str, str]) -> None:
    before = tree.splits
    tree.splits = before or [""] * len(tree.paths)
    told = classes_beside_splits(splits)
    if told:
        tree.told = [told.get(path[depth], "") if len(path) > depth else "" for path in tree.paths]
    for i, path in enumerate(tree.paths):
        split = splits.get(path[depth], "") if len(path) > depth else ""
        tree.splits[i] = split or (before[i] if before else "")
        if not tree.splits[i]:
            tree.out.setdefault(i, "outside the split folders")
    tree.split_depths.add(depth)
    listing = ", ".join(f"{shown(name)} → {splits[name]}" for name in sorted(splits))
    tree.notes.append(f"Splits come from the folders ({listing}).")


def _repeats_splits(tree: Tree, depth: int) -> bool:
    """True where the folders at `depth` only say again which split they lie in, as `test/test_images`."""
    assert tree.splits is not None, "asked below split folders only"
    return all(split_in(tree.paths[i][depth]) == tree.splits[i] for i in tree.inside(depth))
