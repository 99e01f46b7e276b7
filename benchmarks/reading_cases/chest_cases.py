"""What is tried on the sets of chest.py, and what is right."""

from __future__ import annotations

from . import chest as sets
from .case import Case, Reads, Stops, folder_only, passed_over, with_options

COLUMN = "--label-column"
_ANY = (Reads(multilabel=True, groups="told"), Reads("none", multilabel=True, groups="told"))
_NIH = tuple(Reads(view, multilabel=True) for view in ("label", "none"))
_NIH_NO_SPLIT = tuple(Reads(v, multilabel=True, splits=False, told=("test_list.txt",)) for v in ("label", "none"))
_SPLITS = ("--split-list", "testCT_", "Data-split")
_READERS: tuple[str, ...] = ("contradict", "rows", "several rows", "reader", "rad_id")
CASES = (
    Case(
        "chest-xray-pneumonia",
        "kaggle.com/datasets/paultimothymooney/chest-xray-pneumonia",
        sets.kermany,
        (
            folder_only(Reads(groups="told"), Stops(("chest_xray",))),
            folder_only(Reads(groups="told"), Stops(("chest_xray",)), at="chest_xray"),
        ),
    ),
    Case(
        "nih-chestxray14",
        "kaggle.com/datasets/nih-chest-xrays/data",
        sets.nih,
        (
            folder_only(*_NIH, *passed_over("Data_Entry_2017.csv")),
            with_options(
                "--labels Data_Entry_2017.csv", *_NIH, *_NIH_NO_SPLIT, Stops(("column",)), Stops(("--label-separator",))
            ),
        ),
    ),
    Case(
        "chexpert-two-tables",
        "stanfordmlgroup.github.io/competitions/chexpert",
        sets.chexpert,
        (
            folder_only(Reads(multilabel=None, groups="told"), *passed_over("train.csv"), at="CheXpert-v1.0-small"),
            with_options(
                "--labels train.csv",
                Reads(multilabel=None, groups="told", lacking=True, told=("left out",)),
                Stops(("--uncertain",)),
                at="CheXpert-v1.0-small",
            ),
        ),
    ),
    Case(
        "mimic-cxr-jpg",
        "physionet.org/content/mimic-cxr-jpg",
        sets.mimic,
        (folder_only(Stops((".gz",)), Reads(None, groups="told", told=(".gz",))),),
    ),
    Case(
        "vinbigdata",
        "kaggle.com/c/vinbigdata-chest-xray-abnormalities-detection",
        sets.vinbigdata,
        (
            folder_only(*passed_over("train.csv"), Stops((_READERS,))),
            with_options("--labels train.csv", Stops((_READERS,))),
        ),
    ),
    Case(
        "vindr-cxr",
        "physionet.org/content/vindr-cxr",
        sets.vindr_cxr,
        (
            folder_only(Reads(None, told=("image_labels_train.csv",)), *passed_over("image_labels_train.csv")),
            with_options("--labels {root}/annotations/image_labels_train.csv", Stops((_READERS,))),
        ),
    ),
    Case(
        "rsna-pneumonia",
        "kaggle.com/c/rsna-pneumonia-detection-challenge",
        sets.rsna_pneumonia,
        (
            with_options("--labels stage_2_train_labels.csv", Reads(), Stops(("patientId", "--image-column"))),
            with_options(
                "--labels stage_2_train_labels.csv --image-column patientId", Reads(), Stops((COLUMN, "Target"))
            ),
        ),
    ),
    Case(
        "siim-acr-pneumothorax",
        "kaggle.com/c/siim-acr-pneumothorax-segmentation",
        sets.siim_acr,
        (
            folder_only(*passed_over("train-rle.csv")),
            with_options(
                "--labels train-rle.csv --image-column ImageId", Stops((("EncodedPixels", "contradict", COLUMN),))
            ),
        ),
    ),
    Case(
        "covidx",
        "lindawangg/COVID-Net",
        sets.covidx,
        (
            folder_only(Reads(), Stops(("COVIDx9A.txt",)), Reads(None, groups="told", told=("COVIDx9A.txt",))),
            with_options(
                "--labels train_COVIDx9A.txt",
                Reads(lacking=True, told=("left out",)),
                Stops(("column",)),
                Stops(("header",)),
            ),
        ),
    ),
    Case(
        "covid19-radiography",
        "kaggle.com/datasets/tawsifurrahman/covid19-radiography-database",
        sets.radiography,
        (folder_only(Reads(), Stops(("masks",))),),
    ),
    Case(
        "montgomery-tb",
        "openi.nlm.nih.gov (MontgomerySet)",
        sets.montgomery,
        (folder_only(Reads(None), Stops((("ManualMask", "leftMask"),))),),
    ),
    Case(
        "covid-ct",
        "UCSD-AI4H/COVID-CT",
        sets.covid_ct,
        (folder_only(Reads(), Reads(splits=False, told=(_SPLITS,)), Stops((_SPLITS,))),),
    ),
    Case(
        "chest-ct-scan",
        "kaggle.com/datasets/mohamedhanyyy/chest-ctscan-images",
        sets.chest_ct,
        (
            folder_only(
                Reads(),
                Stops(("adenocarcinoma", "test")),
                Reads("apart", told=("adenocarcinoma_left", ("only in", "differ", "not in", "no image in"))),
            ),
        ),
    ),
)
