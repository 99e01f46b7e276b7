"""What is tried on the sets of histology.py, and what is right."""

from __future__ import annotations

from . import histology as sets
from .case import Case, Reads, Stops, folder_only, passed_over, with_options

COLUMN = "--label-column"
LEVEL = "--class-level"
CASES = (
    Case(
        "breakhis",
        "web.inf.ufpr.br/vri/databases (BreaKHis_v1)",
        sets.breakhis,
        (
            folder_only(Reads(groups="told"), Reads("kind", groups="told"), Stops((LEVEL,))),
            with_options("--group-pattern (SOB_[A-Z]_[A-Z]+_14-[0-9A-Z]+)", Reads(), Reads("kind"), Stops((LEVEL,))),
        ),
    ),
    Case(
        "bach",
        "iciar2018-challenge.grand-challenge.org",
        sets.bach,
        (
            folder_only(Reads(), Stops((("WSI", ".svs"),))),
            folder_only(Reads(), at="ICIAR2018_BACH_Challenge/Photos"),
        ),
    ),
    Case(
        "lc25000",
        "tampapath/lung_colon_image_set",
        sets.lc25000,
        (folder_only(Reads(), Reads("organ", told=(LEVEL,)), Stops((LEVEL,))),),
    ),
    Case(
        "nct-crc-he",
        "zenodo.org/records/1214456",
        sets.nct_crc,
        (
            folder_only(Reads(), Reads(splits=False, told=("CRC-VAL-HE-7K",)), Stops(("CRC-VAL-HE-7K",))),
            folder_only(Reads(splits=False), at="NCT-CRC-HE-100K"),
        ),
    ),
    Case(
        "kather2016",
        "zenodo.org/records/53169",
        sets.kather2016,
        (folder_only(Reads(), Stops((("Kather_texture_2016_larger_images_10", LEVEL),))),),
    ),
    Case(
        "patch-camelyon",
        "kaggle.com/c/histopathologic-cancer-detection",
        sets.patch_camelyon,
        (
            folder_only(Reads(), *passed_over("train_labels.csv")),
            with_options("--labels train_labels.csv", Reads()),
        ),
    ),
    Case(
        "camelyon17-wilds",
        "wilds.stanford.edu/datasets",
        sets.camelyon17,
        (
            folder_only(*passed_over("metadata.csv")),
            with_options("--labels metadata.csv", Stops(("--image-column",))),
        ),
    ),
    Case(
        "breast-idc",
        "kaggle.com/datasets/paultimothymooney/breast-histopathology-images",
        sets.breast_idc,
        (folder_only(Reads(groups="told"), Stops((("IDC_regular_ps50_idx5", LEVEL),))),),
    ),
    Case(
        "mhist",
        "bmirds.github.io/MHIST",
        sets.mhist,
        (
            folder_only(Reads(), Stops(("Majority Vote Label", COLUMN))),
            with_options("--labels annotations.csv --label-column Majority␣Vote␣Label", Reads()),
        ),
    ),
    Case(
        "panda",
        "kaggle.com/c/prostate-cancer-grade-assessment",
        sets.panda,
        (
            folder_only(Reads(told=("gleason_score",)), *passed_over("train.csv"), Stops(("isup_grade", COLUMN))),
            with_options("--labels train.csv --label-column isup_grade", Reads()),
        ),
    ),
    Case(
        "c-nmc",
        "cancerimagingarchive.net (C-NMC 2019)",
        sets.c_nmc,
        (
            folder_only(Reads(groups="told"), Stops((("fold_0", LEVEL),))),
            with_options("--group-pattern (UID_H?\\d+)_", Reads(), Stops((("fold_0", LEVEL),))),
        ),
    ),
    Case(
        "all-idb",
        "homes.di.unimi.it/scotti/all",
        sets.all_idb,
        (folder_only(Reads(None), Stops(("ALL_IDB1", "ALL_IDB2"))),),
    ),
    Case(
        "bccd-kaggle",
        "kaggle.com/datasets/paultimothymooney/blood-cells",
        sets.bccd,
        (folder_only(Reads(told=(("TEST_SIMPLE", "left out"),)), Stops(("TEST_SIMPLE",))),),
    ),
    Case(
        "malaria-cells",
        "kaggle.com/datasets/iarunava/cell-images-for-detecting-malaria",
        sets.malaria,
        (folder_only(Reads(groups="told"), Stops(("cell_images",))),),
    ),
    Case("herlev", "mde-lab.aegean.gr (smear2005)", sets.herlev, (folder_only(Reads(), Stops((("-d", "mask"),))),)),
    Case(
        "sipakmed",
        "cs.uoi.gr/~marina/sipakmed.html",
        sets.sipakmed,
        (folder_only(Reads(groups="told"), Stops(("CROPPED",))),),
    ),
)
