"""Reported by others, where folders mislead: each re-creates a script of shared/cases, named by its number."""

from __future__ import annotations

from .case import Case, Reads, Stops, folder_only, with_options
from .draw import Draw


def _busi(draw: Draw) -> None:
    for label in ("benign", "malignant", "normal"):
        for i in range(8):
            draw.image(f"Dataset_BUSI_with_GT/{label}/{label} ({i + 1}).png", label)
            draw.aside(f"Dataset_BUSI_with_GT/{label}/{label} ({i + 1})_mask.png")


def _split_folders(draw: Draw) -> None:
    for folder, split, each in (("training_set", "train", 10), ("test_set", "test", 5)):
        for label in ("benign", "malignant"):
            for i in range(each):
                draw.image(f"{folder}/{label}/{label}{i}.jpg", label, split)


def _archive_parts(draw: Draw) -> None:
    rows = []
    for i in range(24):
        name, lesion, label = f"ISIC_{24306 + i:07d}", f"HAM_{i // 2:07d}", ["nv", "mel", "bkl"][i // 2 % 3]
        draw.image(f"HAM10000_images_part_{1 + i // 12}/{name}.jpg", label, group=lesion)
        rows.append((lesion, name, label, "histo", 50, "male", "back"))
    draw.table("HAM10000_metadata.csv", "lesion_id,image_id,dx,dx_type,age,sex,localization", rows)


def _chexpert(draw: Draw) -> None:
    rows = []
    for i in range(30):
        patient = f"patient{i // 3 + 1:05d}"
        name = f"CheXpert-v1.0-small/train/{patient}/study{i % 3 + 1}/view1_frontal.jpg"
        cells = {"Edema": ["1.0", "-1.0", ""][i % 3], "Pneumonia": ["-1.0", "0.0", "1.0"][i % 3]}
        sure = [finding for finding, cell in cells.items() if cell == "1.0"]
        unsure = [finding for finding, cell in cells.items() if cell == "-1.0"]
        draw.image(name, sure, "train", patient, with_unsure=[*sure, *unsure])
        rows.append((name, "Female", 68, "Frontal", "AP", *cells.values()))
    draw.table("CheXpert-v1.0-small/train.csv", "Path,Sex,Age,Frontal/Lateral,AP/PA,Edema,Pneumonia", rows)


def _unread_format(draw: Draw) -> None:
    for i in range(12):
        draw.image(f"benign/b{i}.jpg", "benign")
        draw.file(f"malignant/m{i}.jxl", b"\xff\x0a")


def _links(draw: Draw) -> None:
    draw.aside("store/x.png")
    (draw.root / "set").mkdir()
    for i in range(300):
        (draw.root / f"set/{i:06d}.png").symlink_to(draw.root / "store/x.png")
        draw.note(f"set/{i:06d}.png")


def _dicom(draw: Draw) -> None:
    for name in (*(f"ok{i}.dcm" for i in range(9)), "MR.1.3.12.2.1107.5.2.32.35162.1999"):
        draw.note(draw.dicom(name))
    draw.note(draw.dicom("nopix.dcm", pixels=False), read="free")
    draw.note(draw.dicom("notsuid.dcm", meta=False), read="free")
    draw.note(draw.file("DICOMDIR", b"\0" * 128 + b"DICM"), read="no")


def _breakhis(draw: Draw) -> None:
    for label, kind in (("benign", "SOB_B_A"), ("malignant", "SOB_M_DC")):
        for patient in range(4):
            slide = f"14-{22549 + patient}"
            for zoom in (40, 100, 200):
                for s in (1, 2):
                    folder = f"breast/{label}/SOB/x/{kind}_{slide}/{zoom}X"
                    draw.image(f"{folder}/{kind}-{slide}-{zoom}-{s:03d}.png", label, group=slide)


_UNSURE = ("--uncertain",)

CASES = (
    Case(
        "01-busi-as-dermofit",
        "shared/cases/01",
        _busi,
        (
            folder_only(Reads()),
            folder_only(Reads(), at="Dataset_BUSI_with_GT"),
        ),
    ),
    Case(
        "03-split-folders-as-classes",
        "shared/cases/03",
        _split_folders,
        (folder_only(Reads(), Stops(("training_set", "test_set"))),),
    ),
    Case(
        "04-archive-parts-as-classes",
        "shared/cases/04",
        _archive_parts,
        (
            folder_only(Reads(say=("--labels",)), Reads(), Stops(("HAM10000_metadata.csv", "--labels"))),
            with_options("--labels HAM10000_metadata.csv", Reads(say=("--labels",))),
        ),
    ),
    Case(
        "05-chexpert-patients-as-classes",
        "shared/cases/05",
        _chexpert,
        (
            folder_only(
                Stops(("train.csv",)), Reads(multilabel=True, groups="told", told=_UNSURE), at="CheXpert-v1.0-small"
            ),
            with_options(
                "--labels train.csv",
                Stops(_UNSURE),
                Reads(multilabel=True, groups="told", told=_UNSURE),
                at="CheXpert-v1.0-small",
            ),
            with_options(
                "--labels CheXpert-v1.0-small/train.csv",
                Stops(_UNSURE),
                Reads(multilabel=True, groups="told", told=_UNSURE),
            ),
            with_options(
                "--labels train.csv --uncertain as-negative",
                Reads(multilabel=True, groups="told"),
                at="CheXpert-v1.0-small",
            ),
            with_options(
                "--labels train.csv --uncertain as-positive --group-pattern (patient\\d+)",
                Reads("with_unsure", multilabel=True),
                at="CheXpert-v1.0-small",
            ),
        ),
    ),
    Case(
        "12-unread-format-class-vanishes",
        "shared/cases/12",
        _unread_format,
        (folder_only(Stops((".jxl", "malignant")), Reads("label", told=(".jxl", "malignant"))),),
    ),
    Case(
        "21-symlinked-images",
        "shared/cases/21",
        _links,
        (
            folder_only(Stops(("--allow-outside",)), at="set"),
            with_options("--allow-outside", Reads(None), at="set"),
        ),
    ),
    Case(
        "26-dicom-oddities",
        "shared/cases/26",
        _dicom,
        (folder_only(Reads(None, say=("nopix.dcm", ("no pixel", "no image", "without pixel", "pixel data")))),),
    ),
    Case(
        "28-patient-in-file-name",
        "shared/cases/28",
        _breakhis,
        (
            folder_only(Reads(groups="told", say=("--group-pattern",)), Reads()),
            with_options("--group-pattern -(14-\\d+)", Reads()),
        ),
    ),
)
