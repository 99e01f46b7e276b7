"""What is tried on the sets of eyes.py, and what is right."""

from __future__ import annotations

from . import eyes as sets
from .case import Case, Reads, Stops, folder_only, passed_over, with_options

COLUMN = "--label-column"
SHEET = ("patient_data_o", "ODIR-5K_Training_Annotations", "spreadsheet")  # a bare ".xlsx" does not say what is lost
_TRAIN_SET = "{root}/B.␣Disease␣Grading/2.␣Groundtruths/a.␣IDRiD_Disease␣Grading_Training␣Labels.csv"
_RFMID = "{root}/Training_Set/RFMiD_Training_Labels.csv"
CASES = (
    Case(
        "aptos2019",
        "kaggle.com/c/aptos2019-blindness-detection",
        sets.aptos,
        (
            folder_only(Reads(), *passed_over("train.csv")),
            with_options("--labels train.csv", Reads(), Stops(("id_code", "--image-column"))),
            with_options("--labels train.csv --image-column id_code", Reads()),
        ),
    ),
    Case(
        "eyepacs",
        "kaggle.com/c/diabetic-retinopathy-detection",
        sets.eyepacs,
        (
            folder_only(Reads(groups="told"), *passed_over("trainLabels.csv")),
            with_options("--labels trainLabels.csv", Reads(groups="told")),
            with_options("--labels trainLabels.csv --group-pattern (\\d+)_(?:left|right)", Reads()),
        ),
    ),
    Case(
        "eyepacs-cropped",
        "kaggle.com/datasets/tanlikesmath/diabetic-retinopathy-resized",
        sets.eyepacs_cropped,
        (with_options("--labels trainLabels_cropped.csv", Reads(), Stops((COLUMN, "level"))),),
    ),
    Case(
        "messidor2",
        "adcis.net/en/third-party/messidor2, kaggle.com/datasets/google-brain/messidor2-dr-grades",
        sets.messidor2,
        (
            folder_only(Reads(told=("adjudicated_dme",)), *passed_over("messidor_data.csv"), Stops((COLUMN,))),
            with_options(
                "--labels messidor_data.csv",
                Reads(groups="told", told=("adjudicated_dme",)),
                Stops((COLUMN, "adjudicated_dr_grade")),
            ),
            with_options("--labels messidor_data.csv --label-column adjudicated_dr_grade", Reads(groups="told")),
        ),
    ),
    Case(
        "idrid",
        "ieee-dataport.org/open-access/indian-diabetic-retinopathy-image-dataset-idrid",
        sets.idrid,
        (
            folder_only(Reads(), Reads("edema"), *passed_over("Labels.csv")),
            with_options(
                f"--labels {_TRAIN_SET}",
                Reads(lacking=True, told=("left out",)),
                Stops(("IDRiD_001",)),
                Stops((COLUMN, "Risk of macular edema")),
                Stops((("columns", "column"),)),
            ),
        ),
    ),
    Case(
        "odir5k-full-df",
        "kaggle.com/datasets/andrewmvd/ocular-disease-recognition-odir5k",
        sets.odir,
        (with_options("--labels full_df.csv", Reads(multilabel=None, groups="told"), Stops(("labels",))),),
    ),
    Case(
        "odir5k-sheet",
        "odir2019.grand-challenge.org/dataset",
        sets.odir_sheet,
        (folder_only(Reads(None, groups="told", told=(SHEET,)), Stops((SHEET,))),),
    ),
    Case(
        "rfmid",
        "ieee-dataport.org/open-access/retinal-fundus-multi-disease-image-dataset-rfmid",
        sets.rfmid,
        (
            folder_only(
                Reads(multilabel=True),
                Reads("risk", multilabel=True, told=("Disease_Risk",)),
                *passed_over("_Labels.csv"),
            ),
            with_options(
                f"--labels {_RFMID}",
                Reads(multilabel=True, lacking=True, told=("left out",)),
                Reads("risk", multilabel=True, lacking=True, told=("left out", "Disease_Risk")),
                Stops((("1.png", "several files", "fit several", "Disease_Risk"),)),
            ),
            with_options(
                "--labels RFMiD_Training_Labels.csv",
                Reads(multilabel=True),
                Reads("risk", multilabel=True, told=("Disease_Risk",)),
                Stops(("Disease_Risk",)),
                at="Training_Set",
            ),
        ),
    ),
    Case(
        "brset",
        "physionet.org/content/brazilian-ophthalmological",
        sets.brset,
        (
            folder_only(Reads(multilabel=True), *passed_over("labels_brset.csv")),
            with_options("--labels labels_brset.csv", Reads(multilabel=True), Stops((COLUMN,))),
            with_options(
                "--labels labels_brset.csv --label-column diabetic_retinopathy,macular_edema,drusens",
                Reads(multilabel=True),
            ),
        ),
    ),
    Case(
        "papila",
        "figshare.com (PAPILA), Scientific Data 9:291",
        sets.papila,
        (folder_only(Reads(None, groups="told", told=(SHEET,)), Stops((SHEET,))),),
    ),
    Case(
        "refuge",
        "refuge.grand-challenge.org",
        sets.refuge,
        (
            folder_only(Reads(), Stops((("Training400", "Annotation-Training400"),))),
            folder_only(Reads(splits=False), at="Training400"),
        ),
    ),
    Case(
        "oct2017",
        "kaggle.com/datasets/paultimothymooney/kermany2018",
        sets.oct2017,
        (
            folder_only(Reads(groups="told")),
            with_options("--group-pattern ([A-Z]+-\\d+)-", Reads()),
        ),
    ),
    Case(
        "deepdrid",
        "deepdrdoc/DeepDRiD",
        sets.deepdrid,
        (
            folder_only(Reads(), *passed_over("regular-fundus-training.csv")),
            with_options(
                "--labels regular-fundus-training.csv",
                Reads(),
                Stops((COLUMN,)),
                Stops((("not under",),)),
                at="regular-fundus-training",
            ),
        ),
    ),
)
