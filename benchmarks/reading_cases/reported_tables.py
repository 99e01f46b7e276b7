"""Reported by others, where tables mislead: each re-creates a script of shared/cases, named by its number."""

from __future__ import annotations

from collections.abc import Callable

from .case import Case, Ends, Reads, Stops, folder_only, with_options
from .draw import Draw

LUNG = ("nodule", "mass")
NAMES = [f"p{i:03d}" for i in range(24)]


def _risk_factors(draw: Draw) -> None:
    rows, flags = [], []
    for i in range(24):
        name, label = f"PAT_{i // 2}_{i // 2}_{i}.png", ["NEV", "BCC"][i // 2 % 2]
        draw.image(f"imgs/{name}", label, group=f"PAT_{i // 2}", target=str(i % 2))
        bits = [i % 5 == 0, i % 4 == 0]
        rows.append((f"PAT_{i // 2}", i // 2, i % 2 == 0, i % 3 == 0, label, *bits, name, i % 7 == 0))
        flags.append((name, i % 2, i // 2 % 2, i // 3 % 2))
    draw.table("metadata.csv", "patient_id,lesion_id,smoke,drink,diagnostic,itch,grew,img_id,biopsed", rows)
    draw.table("b.csv", "image,target,sex_male,external", flags)


def _pipes(draw: Draw) -> None:
    cells = ["No Finding", "Cardiomegaly", "Cardiomegaly|Emphysema", "Hernia|Infiltration", "Infiltration"]
    cells.append("Effusion|Infiltration")
    rows, held_out = [], []
    for i in range(36):
        name, cell = f"{i // 3 + 1:08d}_{i % 3:03d}.png", cells[i % 6]
        none_as_none = [] if cell == "No Finding" else cell.split("|")
        split = "test" if i >= 27 else "train"
        draw.image(f"images/{name}", cell.split("|"), split, i // 3 + 1, without_none=none_as_none)
        rows.append((name, cell, i // 3 + 1))
        held_out += [f"{name}\n"] if i >= 27 else []
    draw.table("Data_Entry_2017.csv", "Image Index,Finding Labels,Patient ID", rows)
    draw.file("test_list.txt", "".join(held_out))


def _split_words(draw: Draw) -> None:
    words = ["train"] * 14 + ["val"] * 3 + ["test"] * 5 + ["external"] * 2
    for i, (name, word) in enumerate(zip(NAMES, words, strict=True)):
        if word == "external":
            draw.aside(f"imgs/{name}.png")
        else:
            draw.image(f"imgs/{name}.png", "ab"[i % 2], word)
    draw.table("word.csv", "image,label,split", [(f"{n}.png", "ab"[i % 2], words[i]) for i, n in enumerate(NAMES)])


def _split_digits(draw: Draw) -> None:
    digits = [0] * 14 + [1] * 4 + [2] * 6
    for i, name in enumerate(NAMES):
        draw.image(f"imgs/{name}.png", "ab"[i % 2], ("train", "val", "test")[digits[i]])
    draw.table("digit.csv", "image,label,split", [(f"{n}.png", "ab"[i % 2], digits[i]) for i, n in enumerate(NAMES)])


def _excel(draw: Draw) -> None:
    for i, name in enumerate(NAMES):
        draw.image(f"imgs/{name}.png", "ab"[i % 2])
    lines = [f"{name}.png;{'ab'[i % 2]}\r\n" for i, name in enumerate(NAMES)]
    draw.file("labels.csv", "sep=;\r\nimage;label\r\n" + "".join(lines))


def _utf16(draw: Draw) -> None:
    _excel(draw)
    lines = [f"{name}.png\t{'ab'[i % 2]}\r\n" for i, name in enumerate(NAMES)]
    draw.file("labels.csv", ("image\tlabel\r\n" + "".join(lines)).encode("utf-16"))


def _no_header(draw: Draw) -> None:
    for i, name in enumerate(NAMES):
        draw.image(f"imgs/{name}.png", "01"[i % 2], "train")
    draw.table("labels.csv", "", [("TRAIN", f"{name}.png", i % 2) for i, name in enumerate(NAMES)])


def _ranzcr(draw: Draw) -> None:
    for i, name in enumerate(NAMES):
        draw.image(f"imgs/{name}.png", ["ETT"] * (i % 2), group=f"x{i}", cell="01"[i % 2])
    draw.table("labels.csv", "StudyInstanceUID,ETT,PatientID", [(n, i % 2, f"x{i}") for i, n in enumerate(NAMES)])


def _missing(draw: Draw) -> None:
    rows = []
    for i, name in enumerate(NAMES):
        cell = ["a", "b", "NA"][i % 3]
        draw.image(f"imgs/{name}.png", [] if cell == "NA" else cell, group="" if i % 2 else f"P{i}")
        rows.append((f"{name}.png", cell, "NA" if i % 2 else f"P{i}"))
    draw.table("na.csv", "image,label,patient_id", rows)


def _minus_one(draw: Draw) -> None:
    for i, name in enumerate(NAMES):
        draw.image(f"imgs/{name}.png", ["-1", "1"][i % 2])
    draw.table("pm.csv", "image,label", [(f"{name}.png", [-1, 1][i % 2]) for i, name in enumerate(NAMES)])


def _python_lists(draw: Draw) -> None:
    for i, name in enumerate(NAMES):
        draw.image(f"imgs/{name}.png", "none" if i % 2 else LUNG, empty=() if i % 2 else LUNG)
    cells = ["['nodule', 'mass']", "['none']"]
    draw.table("py.csv", "image,labels", [(f"{name}.png", cells[i % 2]) for i, name in enumerate(NAMES)])


def _letter_case(draw: Draw) -> None:
    cells = ["Benign", "benign", "BENIGN", "Malignant"]
    for i, name in enumerate(NAMES):
        cell = cells[i % 4]
        draw.image(f"imgs/{name}.png", cell.capitalize(), lower=cell.lower(), upper=cell.upper(), apart=cell)
    draw.table("case.csv", "image,label", [(f"{name}.png", cells[i % 4]) for i, name in enumerate(NAMES)])


def _aptos(draw: Draw) -> None:
    names = [f"{i:012x}" for i in range(20)]
    for i, name in enumerate(names):
        draw.image(f"train_images/{name}.png", str(i % 5), "train")
    draw.table("train.csv", "id_code,diagnosis", [(name, i % 5) for i, name in enumerate(names)])


def _passed_over(name: str, draw: Callable[[Draw], None], *reads: Reads) -> Case:
    """Return a case of a labels.csv that went unmentioned."""
    told = Reads(None, splits=False, groups="free", told=("labels.csv",))
    tries = (folder_only(*reads, Stops(("labels.csv",)), told),)
    return Case(f"10-labels-csv-ignored-{name}", "shared/cases/10", draw, tries)


_DRY = "--cnn resnet18 --vit vit_tiny_patch16_224 --init random --image-size 32 --runs {root}/runs --dry-run"
_TRAIN = "DATA --labels {root}/train.csv"
_OF_COLUMN = Stops(("--label-column",))

CASES = (
    Case(
        "06-risk-factors-as-labels",
        "shared/cases/06",
        _risk_factors,
        (
            with_options("--labels metadata.csv", Stops(("diagnostic",)), Reads()),
            with_options(
                "--labels metadata.csv --image-column img_id", Reads(), Stops(("diagnostic", "--label-column"))
            ),
            with_options("--labels metadata.csv --image-column img_id --label-column diagnostic", Reads()),
            with_options("--labels b.csv", Reads("target", groups="free"), _OF_COLUMN),
        ),
    ),
    Case(
        "08-pipe-separated-labels",
        "shared/cases/08",
        _pipes,
        (
            with_options(
                "--labels Data_Entry_2017.csv",
                *(Reads(view, multilabel=True) for view in ("label", "without_none")),
                *(Reads(v, multilabel=True, splits=False, told=("test_list.txt",)) for v in ("label", "without_none")),
                Stops(("--label-separator",)),
            ),
            with_options(
                "--labels Data_Entry_2017.csv --label-separator | --split-list test={root}/test_list.txt",
                *(Reads(view, multilabel=True) for view in ("label", "without_none")),
            ),
            with_options(
                'DATA --labels {root}/Data_Entry_2017.csv --set data.label_separator="|" ' + _DRY,
                Ends(0),
                command="pretrain",
            ),
        ),
    ),
    Case(
        "09-split-column-dropped-words",
        "shared/cases/09",
        _split_words,
        (with_options("--labels word.csv", Stops(("external",)), Reads(told=("external",))),),
    ),
    Case(
        "09-split-column-dropped-digits",
        "shared/cases/09",
        _split_digits,
        (
            with_options("--labels digit.csv", Reads(), Stops(("split", "--split-values"))),
            with_options("--labels digit.csv --split-values train=0,val=1,test=2", Reads()),
        ),
    ),
    _passed_over("excel", _excel, Reads()),
    _passed_over("utf16", _utf16, Reads()),
    _passed_over("no-header", _no_header, Reads()),
    _passed_over("ranzcr", _ranzcr, Reads(multilabel=None), Reads("cell")),
    Case(
        "11-missing-values-na",
        "shared/cases/11",
        _missing,
        (with_options("--labels na.csv", Reads(), Stops(("NA",))),),
    ),
    Case(
        "11-missing-values-minus-one",
        "shared/cases/11",
        _minus_one,
        (with_options("--labels pm.csv", Reads(), Stops(("-1",))),),
    ),
    Case(
        "11-missing-values-python-lists",
        "shared/cases/11",
        _python_lists,
        (
            with_options(
                "--labels py.csv",
                Reads(multilabel=True),
                Reads("empty", multilabel=True),
                Stops(("['nodule', 'mass']",)),
            ),
        ),
    ),
    Case(
        "11-missing-values-letter-case",
        "shared/cases/11",
        _letter_case,
        (
            with_options(
                "--labels case.csv",
                *(Reads(view, told=("BENIGN",)) for view in ("label", "lower", "upper", "apart")),
                Stops(("BENIGN",)),
            ),
        ),
    ),
    Case(
        "14-hint-names-missing-option",
        "shared/cases/14",
        _aptos,
        (
            with_options(f"{_TRAIN} {_DRY}", Ends(0), Ends(2, ("--image-column",)), command="pretrain"),
            with_options(f"{_TRAIN} {_DRY} --image-column id_code", Ends(0), command="pretrain"),
        ),
    ),
)
