"""What is tried on the folders of habits.py, and what is right."""

from __future__ import annotations

from . import habits as sets
from .case import Case, Reads, Stops, folder_only, passed_over, with_options

COLUMN = "--label-column"
LEVEL = "--class-level"
HABIT = "habit"
LABELS = "--labels labels.csv"
_UNLABELLED = Reads(None, groups="told")
_MANY = ("continuous", "regression", "as many", "one image", "distinct", "different values", "free text")
CASES = (
    Case("split-below-class", HABIT, sets.split_below_class, (folder_only(Reads(), Stops((("train", LEVEL),))),)),
    Case("container-below-split", HABIT, sets.container_below_split, (folder_only(Reads(), Stops((LEVEL,))),)),
    Case("class-above-images", HABIT, sets.class_above_images, (folder_only(Reads()),)),
    Case(
        "two-hospitals",
        HABIT,
        sets.two_hospitals,
        (folder_only(Reads(), Reads("place", told=(LEVEL,)), Stops((("hospital_a", LEVEL),))),),
    ),
    Case("two-modalities", HABIT, sets.two_modalities, (folder_only(Reads(), Stops((("MRI", LEVEL),))),)),
    Case(
        "patients-as-folders",
        HABIT,
        sets.patients_as_folders,
        (folder_only(_UNLABELLED, Stops((("patient", "P001", "case"),))),),
    ),
    Case(
        "numbered-patients",
        HABIT,
        sets.numbered_patients,
        (folder_only(_UNLABELLED, Stops((("patient", "101", "case"),))),),
    ),
    Case(
        "dates-as-folders",
        HABIT,
        sets.dates_as_folders,
        (folder_only(Reads(None, groups="free"), Stops(("2021-01-03",))),),
    ),
    Case("labelled-and-unlabelled", HABIT, sets.labelled_and_not, (folder_only(Reads(), Stops(("unlabeled",))),)),
    Case("table-in-wrapper", HABIT, sets.table_in_wrapper, (folder_only(Reads(), *passed_over("labels.csv")),)),
    Case("labels-tsv", HABIT, sets.tabs, (folder_only(Reads(), *passed_over("labels.tsv")),)),
    Case("labels-json", HABIT, sets.json_labels, (folder_only(Reads(), *passed_over("labels.json")),)),
    Case(
        "captions",
        "huggingface.co/docs/datasets/image_dataset",
        sets.captions,
        (
            folder_only(*passed_over("metadata.csv"), Stops((_MANY,)), Reads(told=(_MANY,))),
            with_options(
                "--labels {root}/train/metadata.csv",
                Stops((("text", COLUMN),)),
                Reads(told=(_MANY,)),
                Reads(None, told=("text",)),
            ),
        ),
    ),
    Case(
        "soft-labels",
        HABIT,
        sets.soft_labels,
        (
            with_options(LABELS, Stops((("benign", COLUMN),))),
            with_options(f"{LABELS} --label-column benign,malignant", Stops(("benign",))),
        ),
    ),
    Case(
        "anonymous-patients",
        "INbreast (Patient ID: removed)",
        sets.anonymous,
        (with_options(LABELS, Reads(), Stops((("patient_id", "removed"),)), Reads(groups="free", told=("removed",))),),
    ),
    Case("missing-words", HABIT, sets.missing_words, (with_options(LABELS, Reads(), Stops(("N/A",))),)),
    Case("in-train-and-test", HABIT, sets.both_splits, (with_options(LABELS, Stops(("p0.png",))),)),
    Case(
        "test-labels-in-table",
        HABIT,
        sets.test_in_table,
        (folder_only(Reads(say=("test_labels.csv",)), Stops(("test_labels.csv",))),),
    ),
    Case("yes-or-no", HABIT, sets.yes_no, (with_options(LABELS, Reads(), Stops((COLUMN, "malignant"))),)),
    Case("remarks-in-cells", HABIT, sets.comments, (with_options(LABELS, Reads(), Stops(("remark",))),)),
    Case(
        "two-labels",
        HABIT,
        sets.two_labels,
        (with_options(LABELS, Stops((COLUMN,)), Reads("coarse", told=("diagnosis",)), Reads(told=("category",))),),
    ),
    Case("two-sizes", HABIT, sets.resized_copies, (folder_only(Reads(), Stops((("512", LEVEL),))),)),
)
