"""What is tried on the folders of complaints.py, and what is right."""

from __future__ import annotations

from . import complaints as sets
from .case import Case, Reads, Stops, folder_only, passed_over, with_options

COLUMN = "--label-column"
LEVEL = "--class-level"
_SPELLED = ("capital", "letters", "spelled", "spelling", "differ only")
_BY_CASE = tuple(Reads(view, told=("Benign", _SPELLED)) for view in ("label", "capital", "apart"))
_IS_TRAIN = Reads(splits=False, told=("is_train", "--split-column"))
CASES = (
    Case(
        "notebook-leftovers",
        "pytorch/vision#79, keras-team/keras#14042",
        sets.notebook_leftovers,
        (folder_only(Reads()),),
    ),
    Case("synology-thumbnails", "Synology's @eaDir", sets.synology, (folder_only(Reads()),)),
    Case(
        "test-beside-classes",
        "fastai/fastai#2336, #1552",
        sets.test_beside_classes,
        (
            folder_only(Reads()),
            with_options("--labels labels.csv", Reads()),
        ),
    ),
    Case(
        "empty-class-folder",
        "pytorch/vision#4925",
        sets.empty_class,
        (folder_only(Reads(told=("normal",)), Stops(("normal",))),),
    ),
    Case(
        "class-not-in-test",
        "ultralytics/ultralytics#13936",
        sets.class_not_in_test,
        (folder_only(Reads(say=("180",)), Stops(("180",))),),
    ),
    Case(
        "one-folder-is-no-class",
        "huggingface/datasets#5153",
        sets.one_folder_is_no_class,
        (folder_only(Reads(None), Stops()),),
    ),
    Case("single-folder", "huggingface/datasets#5153", sets.single_class_folder, (folder_only(Reads(None)),)),
    Case(
        "letter-case-of-splits",
        "habit",
        sets.letter_case_of_splits,
        (
            folder_only(
                *(Reads(view, told=("Benign", _SPELLED)) for view in ("label", "capital", "apart")), Stops(("Benign",))
            ),
        ),
    ),
    Case(
        "validate-folder",
        "roboflow/roboflow-python#153, fastai/fastai#1129",
        sets.validate_folder,
        (folder_only(Reads(), Reads(lacking=True, told=(("validate", "outside"),)), Stops(("validate",))),),
    ),
    Case(
        "external-folder",
        "habit",
        sets.external_folder,
        (folder_only(Reads(told=(("external", "outside"),)), Stops(("external",))),),
    ),
    Case("fold-folders", "habit", sets.folds, (folder_only(Reads(), Stops((("fold_1", LEVEL),))),)),
    Case(
        "original-and-augmented",
        "habit",
        sets.original_and_augmented,
        (folder_only(Reads(), Stops((("augmented", LEVEL),))),),
    ),
    Case(
        "tables-of-splits",
        "habit",
        sets.tables_of_splits,
        (
            folder_only(Reads(), *passed_over("train.csv")),
            with_options("--labels train.csv", Reads(), Reads(lacking=True, told=("left out",)), Stops(("test.csv",))),
        ),
    ),
    Case(
        "roboflow-classes",
        "docs.roboflow.com (multi-class CSV)",
        sets.roboflow,
        (folder_only(Reads(multilabel=None), *passed_over("_classes.csv")),),
    ),
    Case(
        "metadata-jsonl",
        "huggingface/datasets#4069",
        sets.json_lines,
        (folder_only(Reads(), *passed_over("metadata.jsonl")),),
    ),
    Case("yolo-boxes", "docs.ultralytics.com", sets.yolo, (folder_only(Reads(None), Stops(("--layout flat",))),)),
    Case(
        "row-a-finding",
        "habit",
        sets.long_form,
        (with_options("--labels findings.csv", Reads(multilabel=True), Stops((("contradict", "rows"),))),),
    ),
    Case(
        "paths-of-another-machine",
        "habit",
        sets.other_machine,
        (with_options("--labels labels.csv", Reads(), Stops((("not under", "anna"),))),),
    ),
    Case(
        "other-suffix",
        "habit",
        sets.other_suffix,
        (with_options("--labels labels.csv", Reads(), Stops((("not under", "p0.jpg"),))),),
    ),
    Case(
        "is-train-column",
        "vision.caltech.edu (CUB-200: is_training_image)",
        sets.is_train,
        (
            with_options(
                "--labels labels.csv",
                Reads(),
                Reads(splits=False, told=("is_train", "--split-column")),
                Stops(("is_train",)),
            ),
            with_options("--labels labels.csv --split-column is_train --split-values train=1,test=0", Reads()),
        ),
    ),
    Case(
        "fold-column",
        "habit",
        sets.fold_column,
        (
            with_options("--labels labels.csv", Stops(("fold0",)), Reads()),
            with_options(
                "--labels labels.csv --split-values train=fold0,train=fold1,train=fold2", Reads(), Stops(("fold",))
            ),
        ),
    ),
    Case(
        "leading-zeros",
        "habit",
        sets.leading_zeros,
        (with_options("--labels labels.csv", Stops((("not under", "missing"),))),),
    ),
    Case("archives-unopened", "kaggle.com", sets.archives, (folder_only(Stops((".zip",))),)),
    Case("latin-1-table", "habit", sets.latin1, (with_options("--labels labels.csv", Reads(), Stops(("UTF-8",))),)),
    Case("classes-at-two-levels", "habit", sets.mixed_labels, (folder_only(Reads("top"), Reads(), Stops((LEVEL,))),)),
    Case("dicom-beside-png", "habit", sets.two_suffixes, (folder_only(Reads()),)),
    Case(
        "arrays-as-a-class",
        "habit",
        sets.array_files,
        (folder_only(Stops((".npy", "tumour")), Reads(told=(".npy", "tumour"))),),
    ),
)
