"""Labels, groups and splits that folder names tell, level by level; Dermofit's case folders."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from cass_cli.data.layouts.levels import (
    Kind,
    classes_beside_splits,
    kind_of_level,
    no_class,
    splits_of_level,
)
from cass_cli.data.layouts.records import Records
from cass_cli.data.layouts.vocabulary import AUGMENTED, names_finding, split_in, tokens
from cass_cli.errors import DataError
from cass_cli.words import count, shown, shown_list

PATIENT_FOLDERS, CASE_FOLDERS = "patient folders", "case folders"
NEARLY_ALL = 0.95  # of the images must lie as deep as the folders that name their classes


@dataclass
class Tree:
    """The folders of N paths, and what is known of them so far."""

    paths: list[list[str]]  # folders of each path, from the top
    readable: list[bool]  # False: a file in a format that is not read, which still shows where classes are
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


def read_folders(
    names: Sequence[str], *, unread: Sequence[str] = (), class_level: int | None = None, forced: bool = False
) -> Records | None:
    """Read what the folders of the image paths `names` tell; None where they tell no classes.

    The deepest level that labels (nearly) all images is the class: folders that wrap, split, number the parts of an
    archive, or tell how a picture was taken are none, and those of patients and cases are groups. `class_level` (1: the
    folders in the root) names it instead; `forced` takes the likeliest level, be it a single folder. `unread` are files
    in formats that are not read: a class of nothing else is `lost`. Raises `DataError` where folders may be two things.
    """
    tree = _tree(names, unread)
    depth = _class_depth(tree, forced) if class_level is None else _named_level(tree, class_level)
    if depth is None and tree.told is None:
        return None
    return _records(names, tree, depth)


def read_flat(names: Sequence[str]) -> Records:
    """Take every image as unlabelled; folders still give splits and groups."""
    tree = _tree(names, ())
    kept = [i for i in range(len(names)) if i not in tree.out]
    return Records(
        names=[names[i] for i in kept],
        splits=None if tree.splits is None else [tree.splits[i] for i in kept],
        groups=(grouped := _groups(tree, kept, None))[0],
        groups_by=grouped[1],
        left_out=[(names[i], reason) for i, reason in sorted(tree.out.items())],
        notes=["Layout: a folder of images without labels.", *tree.notes, *_left_out_notes(names, tree)],
    )


def _tree(names: Sequence[str], unread: Sequence[str]) -> Tree:
    """Tell wrappers, copies and splits from the top down, and the kind of every other level."""
    tree = Tree([name.split("/")[:-1] for name in (*names, *unread)], [True] * len(names) + [False] * len(unread))
    for depth in range(max(map(len, tree.paths), default=0)):
        _leave_out_copies(tree, depth)
        _check_augmented(tree.at(depth))
        folders = tree.at(depth)
        if tree.splits and _repeats_splits(tree, depth):
            tree.split_depths.add(depth)
        elif splits := splits_of_level(folders):
            _split_by(tree, depth, splits)
        else:
            tree.kinds[depth] = kind_of_level(folders)
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
            hint="Name the folder that is meant with --data.",
        )


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


def _class_depth(tree: Tree, forced: bool) -> int | None:
    """Return the depth whose folders name the classes, None for none."""
    likely = _candidates(tree)
    classes = [d for d in likely if tree.kinds[d] == "class"]
    if not classes:
        unclear = [d for d in likely if tree.kinds[d] == "unclear"]
        if forced:
            return unclear[-1] if unclear else next((d for d in sorted(tree.kinds) if tree.at(d)), None)
        if unclear and tree.told is None:
            raise _unclear(tree, unclear[-1])
        return None
    chosen = classes[-1]
    telling = [d for d in classes if _tells_findings(tree, d)]
    if telling and chosen not in telling and _repeats_below(tree, telling[-1], chosen):
        chosen = telling[-1]
    for depth in (d for d in classes if d < chosen):
        above = shown_list(sorted(tree.at(depth)), 4)
        tree.notes.append(
            f"The folders {above} are above the classes; --class-level {depth + 1} would take them as the classes."
        )
    if not forced:
        _check_cases(tree, chosen)
    return chosen


def _candidates(tree: Tree) -> list[int]:
    """Return the depths that could name classes: at least two names, and (nearly) every image lies that deep."""
    judged = [i for i in range(len(tree.paths)) if i not in tree.out and (not tree.splits or tree.splits[i] == "train")]
    depths: list[int] = []
    share = 0.5  # of all images; what lies beside the first such folders is left out
    for depth in sorted(tree.kinds):
        deep = [i for i in judged if len(tree.paths[i]) > depth]
        if len(deep) < share * len(judged) or tree.kinds[depth] not in ("class", "unclear"):
            continue
        if len({name for name in tree.at(depth) if not no_class(name)}) < 2 or _adds_nothing(tree, depths, depth):
            continue
        depths.append(depth)
        judged, share = deep, NEARLY_ALL
    return depths


def _adds_nothing(tree: Tree, above: Sequence[int], depth: int) -> bool:
    """True where each folder of the level above holds but one at `depth`."""
    if not above:
        return False
    pairs = {(tree.paths[i][above[-1]], tree.paths[i][depth]) for i in tree.inside(depth)}
    return len(pairs) == len({upper for upper, _ in pairs})


def _tells_findings(tree: Tree, depth: int) -> bool:
    folders = tree.at(depth)
    return 2 * sum(names_finding(name) for name in folders) >= len(folders)


def _repeats_below(tree: Tree, upper: int, lower: int) -> bool:
    """True where a folder name at `lower` stands in several folders of `upper`."""
    pairs = {(tree.paths[i][upper], tree.paths[i][lower]) for i in tree.inside(lower)}
    return len(pairs) > len({below for _, below in pairs})


def _unclear(tree: Tree, depth: int) -> DataError:
    folders = shown_list(sorted(tree.at(depth)), 4)
    return DataError(
        f"The folders {folders} differ only by a number: they may be classes, or parts of one set of images.",
        hint=f"If each is a class: --class-level {depth + 1}. If not: --layout flat, or name a table with --labels.",
    )


def _check_cases(tree: Tree, chosen: int) -> None:
    """Raise where folders of cases bear a finding in their names, as `study1_negative`: that may be the label."""
    for depth, kind in tree.kinds.items():
        findings = {word for name in tree.at(depth) for word in tokens(name) if names_finding(word)}
        if kind in ("case", "person") and len(findings) > 1 and depth > chosen and not _tells_findings(tree, chosen):
            raise DataError(
                f"The classes may be the folders {shown_list(sorted(tree.at(chosen)), 4)}, or what names such as "
                f"{shown(min(tree.at(depth)))} tell ({shown_list(sorted(findings))}).",
                hint=f"For the folders: --class-level {chosen + 1}. Else write a table of image and label, and name it "
                "with --labels.",
            )


def _named_level(tree: Tree, level: int) -> int:
    if not tree.at(level - 1):
        deepest = max(map(len, tree.paths), default=0)
        raise DataError(
            f"There are no folders on level {level}.",
            hint=f"--class-level counts from 1, the folders in the root; the deepest here is {deepest}.",
        )
    return level - 1


def _records(names: Sequence[str], tree: Tree, depth: int | None) -> Records:
    """Return the images that lie in a class folder, and what is known of each."""
    labels: list[str] = []
    for i, path in enumerate(tree.paths):
        name = path[depth] if depth is not None and len(path) > depth else ""
        label = tree.told[i] if tree.told and depth is None else name
        labels.append(label)
        if i not in tree.out and (not label or (no_class(label) and len(tree.at(depth or 0)) > 2)):
            tree.out[i] = "outside the class folders"
    kept = [i for i in range(len(names)) if i not in tree.out]
    classes = {labels[i] for i in kept}
    lost = sorted({labels[i] for i in range(len(names), len(tree.paths)) if i not in tree.out} - classes)
    kind = "class folders" if tree.splits is None else "class folders in split folders"
    around = "/".join(tree.paths[kept[0]][: depth or 0]) if kept else ""
    where = f" under {shown(around)}" if _wraps(tree, depth or 0) else ""
    return Records(
        names=[names[i] for i in kept],
        labels=[(labels[i],) for i in kept],
        splits=None if tree.splits is None else [tree.splits[i] for i in kept],
        groups=(grouped := _groups(tree, kept, depth))[0],
        groups_by=grouped[1],
        lost=tuple(lost),
        left_out=[(names[i], reason) for i, reason in sorted(tree.out.items()) if i < len(names)],
        notes=[
            f"Layout: {kind}{where} ({count(len(classes), 'class', 'classes')}).",
            *tree.notes,
            *_level_notes(tree),
            *_left_out_notes(names, tree),
        ],
    )


def _wraps(tree: Tree, depth: int) -> bool:
    return depth > 0 and all(tree.kinds.get(d) == "wrapper" for d in range(depth))


def _groups(tree: Tree, kept: Sequence[int], class_depth: int | None) -> tuple[list[str] | None, str]:
    """Return (the patient or case folder of each image, what they are); (None, "") for none or single images."""
    for depth in sorted(tree.kinds):
        kind = tree.kinds[depth]
        numbered = kind == "unclear" and class_depth is not None and depth > class_depth
        if depth == class_depth or not (kind in ("person", "case") or numbered):
            continue
        groups = [_group(tree, i, depth, alone=kind == "person") for i in kept]
        sizes = Counter(group for group in groups if group)
        several = sum(size > 1 for size in sizes.values())
        if several and len(sizes) > 1:
            what = PATIENT_FOLDERS if kind == "person" else CASE_FOLDERS
            tree.notes.append(f"Grouped by {what}: {several:,} of {len(sizes):,} hold several images.")
            return groups, what
    return None, ""


def _group(tree: Tree, i: int, depth: int, *, alone: bool) -> str:
    """Return the folder at `depth`; where its name may come again elsewhere, with those above it but the splits."""
    path = tree.paths[i]
    if len(path) <= depth:
        return ""
    return path[depth] if alone else "/".join(path[d] for d in range(depth + 1) if d not in tree.split_depths)


def _level_notes(tree: Tree) -> list[str]:
    said = {"part": "parts of one set", "view": "ways of taking a picture", "unclear": "numbered cases"}
    return [
        f"The folders {shown_list(sorted(folders), 4)} are {said[kind]}, and no classes."
        for depth, kind in sorted(tree.kinds.items())
        if kind in said and len(folders := tree.at(depth)) > 1
    ]


def _left_out_notes(names: Sequence[str], tree: Tree) -> list[str]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for i, reason in sorted(tree.out.items()):
        if i < len(names):
            reasons[reason].append(names[i].rpartition("/")[0] or names[i])
    return [
        f"{count(len(where), 'image')} {reason} ({shown_list(list(dict.fromkeys(where)), 3)}): left out."
        for reason, where in reasons.items()
    ]


def read_dermofit(names: Sequence[str], *, unread: Sequence[str] = ()) -> Records | None:
    """Read Dermofit's `<class>/<case>/<image>`; the case is the group where any case holds several images."""
    level = min(name.count("/") for name in names) - 1
    records = read_folders(names, unread=unread, class_level=level) if level > 0 else None
    if records is None or records.labels is None:
        return None
    cases = [name.rpartition("/")[0] for name in records.names]
    sizes = Counter(cases)
    several = sum(size > 1 for size in sizes.values())
    notes = ["Layout: Dermofit (class folders holding one folder a case).", *records.notes[1:]]
    if several:
        notes.append(f"Grouped by case folder: {several:,} of {len(sizes):,} cases hold several images.")
    return Records(
        names=records.names,
        labels=records.labels,
        splits=records.splits,
        groups=cases if several else None,
        groups_by=CASE_FOLDERS,
        lost=records.lost,
        left_out=records.left_out,
        notes=notes,
    )


def looks_like_dermofit(names: Sequence[str]) -> bool:
    """True when every image lies at `<class>/<case>/<image>`, bears its case's name, and cases are numbered."""
    paths = [name.split("/") for name in names]
    return all(_is_case(parts) for parts in paths) and len({parts[-3] for parts in paths}) > 1


def _is_case(parts: list[str]) -> bool:
    numbered = len(parts) >= 3 and any(c.isdigit() for c in parts[-2])
    return numbered and parts[-1].lower().startswith(parts[-2].lower())


def splits_of_paths(names: Sequence[str]) -> list[str] | None:
    """Return the split that the folders of each path name, or None unless they name one for every path, and several."""
    tree = _tree(names, ())
    return None if tree.splits is None or tree.out or len(set(tree.splits)) < 2 else tree.splits


def groups_of_paths(names: Sequence[str]) -> tuple[list[str] | None, str, list[str]]:
    """Return (the patient or case folder of each path, or None; what they are; a note that says so)."""
    tree = _tree(names, ())
    before = len(tree.notes)
    return *_groups(tree, range(len(names)), None), tree.notes[before:]
