"""What is tried on the sets of skin.py, and what is right."""

from __future__ import annotations

from . import skin as sets
from .case import Case, Reads, Stops, folder_only, passed_over, with_options

ISIC = "challenge.isic-archive.com/data"
COLUMN = "--label-column"
_DIAGNOSES = tuple(Reads(view, told=("target",)) for view in ("kind", "known"))
_CHOOSE = (("--image-column", COLUMN),)
# Both images of a case, or one of them; the row numbers of the publisher's splits may go unread where that is said.
_DERM7PT = (Reads(groups="told"), Reads(splits=False, groups="told", told=("_indexes.csv",)))
CASES = (
    Case(
        "isic2016",
        ISIC,
        sets.isic2016,
        (
            folder_only(Reads(), *passed_over("GroundTruth.csv")),
            with_options(
                "--labels ISBI2016_ISIC_Part3_Training_GroundTruth.csv", Reads(), Stops((("header", "column"),))
            ),
        ),
    ),
    Case(
        "isic2017",
        ISIC,
        sets.isic2017,
        (
            folder_only(Reads(multilabel=True), *passed_over("GroundTruth.csv", "_superpixels")),
            with_options("--labels ISIC-2017_Training_Part3_GroundTruth.csv", Reads(multilabel=True)),
        ),
    ),
    Case(
        "isic2018",
        ISIC,
        sets.isic2018,
        (
            folder_only(Reads(), *passed_over("GroundTruth.csv")),
            with_options(
                "--labels {root}/ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv", Reads()
            ),
        ),
    ),
    Case("isic2019", ISIC, sets.isic2019, (folder_only(Reads()),)),
    Case(
        "isic2020",
        "kaggle.com/c/siim-isic-melanoma-classification",
        sets.isic2020,
        (
            folder_only(Reads(), Reads("benign", told=("target",)), *_DIAGNOSES, *passed_over("train.csv")),
            with_options("--labels train.csv", Reads(), Reads("benign"), *_DIAGNOSES, Stops((COLUMN, "target"))),
            with_options("--labels train.csv --label-column target", Reads()),
        ),
    ),
    Case(
        "ham10000-parts-twice",
        "kaggle.com/datasets/kmader/skin-cancer-mnist-ham10000",
        sets.ham10000_twice,
        (
            folder_only(Reads(), *passed_over("HAM10000_metadata.csv")),
            with_options(
                "--labels HAM10000_metadata.csv", Reads(), Stops(("HAM10000_images_part_1", "ham10000_images"))
            ),
        ),
    ),
    Case(
        "pad-ufes-20",
        "data.mendeley.com/datasets/zr7vgbcyr2",
        sets.pad_ufes_20,
        (
            folder_only(Reads(), *passed_over("metadata.csv")),
            with_options("--labels metadata.csv", Reads(), Stops(("img_id", "--image-column")), Stops((COLUMN,))),
        ),
    ),
    Case(
        "fitzpatrick17k",
        "mattgroh/fitzpatrick17k",
        sets.fitzpatrick17k,
        (
            with_options("--labels fitzpatrick17k.csv", Stops((("--image-column", "--missing"),))),
            with_options("--labels fitzpatrick17k.csv --image-column md5hash", Stops((("not under", "missing"), "3"))),
            with_options("--labels fitzpatrick17k.csv --image-column md5hash --missing skip", Reads()),
        ),
    ),
    Case(
        "ddi",
        "ddi-dataset.github.io",
        sets.ddi,
        (
            folder_only(Reads(), *passed_over("ddi_metadata.csv")),
            with_options(
                "--labels ddi_metadata.csv",
                Reads(told=("disease",)),
                Stops((("DDI_file", "disease"), ("--image-column", COLUMN))),
            ),
            with_options(
                "--labels ddi_metadata.csv --image-column DDI_file",
                Reads(told=("disease",)),
                Stops((COLUMN, "disease")),
            ),
            with_options("--labels ddi_metadata.csv --image-column DDI_file --label-column disease", Reads("disease")),
        ),
    ),
    Case(
        "derm7pt",
        "jeremykawahara/derm7pt",
        sets.derm7pt,
        (
            folder_only(*passed_over("meta.csv")),
            with_options("--labels {root}/release_v0/meta/meta.csv", *_DERM7PT, Stops(("--image-column",))),
            with_options(
                "--labels {root}/release_v0/meta/meta.csv --image-column derm",
                *_DERM7PT,
            ),
        ),
    ),
    Case(
        "ph2",
        "www.fc.up.pt/addi",
        sets.ph2,
        (folder_only(Stops((("PH2_dataset.", "spreadsheet"),)), Reads(None, told=(("PH2_dataset.", "spreadsheet"),))),),
    ),
    Case(
        "monkeypox",
        "mHealthBuet/Monkeypox-Skin-Lesion-Dataset",
        sets.monkeypox,
        (
            folder_only(Stops(("Original Images",))),
            folder_only(Reads(), Reads("whole"), at="Original Images"),
        ),
    ),
    Case("dermnet", "kaggle.com/datasets/shubhamgoel27/dermnet", sets.dermnet, (folder_only(Reads()),)),
)
