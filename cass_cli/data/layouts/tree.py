"""The folders of a set of images, level by level: what wraps, what is a copy, what is a split, what the others are."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from cass_cli.data.layouts.levels import Kind, classes_beside_splits, is_view, kind_of_level, splits_of_level
from cass_cli.data.layouts.vocabulary import AUGMENTED, split_in, tokens
from cass_cli.errors import DataError
from cass_cli.words import shown, shown_list

_SIZE = re.compile(r"[1-9]\d{2,3}([ _-]?px|[ _-]?(x|by)[ _-]?\d{2,4})?", re.IGNORECASE)


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


def grow(names: Sequence[str], unread: Sequence[str]) -> Tree:
    """Tell wrappers, copies and splits from the top down, and the kind of every other level.

    Files in formats that are not read, `unread`, come after the `names`: they still show where classes are.
    """
    parts = [name.split("/") for name in (*names, *unread)]
    tree = Tree([path[:-1] for path in parts], [path[-1] for path in parts])
    for depth in range(max(map(len, tree.paths), default=0)):
        _leave_out_copies(tree, depth)
        _check_augmented(tree.at(depth))
        _check_sizes(tree, depth)
        _leave_out_sets(tree, depth)
        folders = tree.at(depth)
        if tree.splits and _repeats_splits(tree, depth):
            tree.split_depths.add(depth)
        elif splits := splits_of_level(folders):
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
    copies = {at for at, held in below.items() if len(held) > 1 and held <= beside[at[:-1]] - {at[-1]}}
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


def _check_sizes(tree: Tree, depth: int) -> None:
    """Raise where folders called as sizes hold the same files: `224` and `512`, `256x256` and `1024x1024`."""
    below: dict[str, set[str]] = defaultdict(set)
    folders = tree.at(depth)
    if len(folders) < 2 or not all(_SIZE.fullmatch(name) for name in folders):
        return
    for i in tree.inside(depth):
        below[tree.paths[i][depth]].add("/".join([*tree.paths[i][depth + 1 :], tree.files[i]]))
    first, *others = below.values()
    if all(held == first for held in others) and len(first) > 2:
        raise DataError(
            f"The folders {shown_list(sorted(folders), 4)} hold the same files: one set of images in several sizes.",
            hint="Name the folder of one size.",
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
