"""Sets of chest radiographs: CheXpert, NIH ChestX-ray14, RSNA pneumonia, COVID-19 Radiography."""

from __future__ import annotations

import re

from cass_cli.data.layouts.columns import Columns
from cass_cli.data.layouts.csv_layout import HowToRead
from cass_cli.data.layouts.lookup import Index
from cass_cli.data.layouts.records import Records
from cass_cli.data.sets.public_set import PublicSet
from cass_cli.data.sets.reading import GROUP, SPLIT, Pattern, find_table, is_there, read_table_as, stacked, with_column

OBSERVATIONS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture"),
    "Support Devices",
)
_CHEXPERT_PATIENT = re.compile(r"(?:^|/)(patient\d+)/study\d+/")


def read_chexpert(index: Index, how: HowToRead) -> Records | None:
    """Read train.csv, valid.csv and test.csv: 14 observations an image, grouped by the patient in its path."""
    needed = ("Path", "Frontal/Lateral", *OBSERVATIONS)
    called = {"train": r"train\.csv", "val": r"valid\.csv", "test": r"test(_labels)?\.csv"}
    found = {s: find_table(index, name, "Path", *OBSERVATIONS) for s, name in called.items()}
    tables = {s: t for s, t in found.items() if t is not None and is_there(index, t.columns["Path"])}
    if "train" not in tables or not set(needed) <= tables["train"].columns.keys():
        return None
    table = stacked(tables, needed)
    patients = [_CHEXPERT_PATIENT.search(path) for path in table.columns["Path"]]
    if None in patients:
        return None
    table = with_column(table, GROUP, [match[1] for match in patients if match])
    label = ",".join(OBSERVATIONS)
    split = SPLIT if len(tables) > 1 else None
    return read_table_as(table, index, how, Columns(image="Path", label=label, group=GROUP, split=split))


def read_chestxray14(index: Index, how: HowToRead) -> Records | None:
    """Read Data_Entry_2017: several findings an image, grouped by patient; the publisher's lists are the split."""
    table = find_table(index, r"Data_Entry_2017(_v\d+)?\.csv", "Image Index", "Finding Labels", "Patient ID")
    if table is None:
        return None
    columns = Columns(image="Image Index", label="Finding Labels", group="Patient ID", separator="|")
    return read_table_as(table, index, how, columns)


def read_rsna_pneumonia(index: Index, how: HowToRead) -> Records | None:
    """Read the table of boxes: 1 is pneumonia, and an image's rows agree; images of the second stage have no labels."""
    boxes = find_table(index, r"stage_2_train_labels\.csv", "patientId", "x", "y", "width", "height", "Target")
    if boxes is None:
        return None
    return read_table_as(boxes, index, how, Columns(image="patientId", label="Target"))


COVID_CLASSES = {name: name for name in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")}
covid_radiography = Pattern(
    path=r"(?P<label>COVID|Lung_Opacity|Normal|Viral Pneumonia)/(images/)?(?P=label)-\d+\.png",
    classes=COVID_CLASSES,
)

SETS = (
    PublicSet(
        name="chexpert",
        title="CheXpert",
        kind="chest radiographs",
        holds="224,316 images of 65,240 patients, 14 observations",
        paper="Irvin et al. 2019, AAAI, arXiv:1901.07031",
        page="https://stanfordmlgroup.github.io/competitions/chexpert/",
        licence="Stanford's research use agreement",
        size="439 GB, 11 GB as CheXpert-v1.0-small",
        lies="CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg, train.csv, valid.csv",
        groups="the patient in the path",
        split="training and validation (234 images read by radiologists); a test set is had apart",
        traps=(
            "The training labels are read from reports by a program: -1 is uncertain (--uncertain), empty is not "
            "mentioned.",
            "'No Finding' is one of the 14 columns.",
            "Frontal and lateral views of one study lie side by side.",
        ),
        read=read_chexpert,
        tables=r"(train|valid|test|test_labels|train_cheXbert|train_visualCheXbert)\.csv",
    ),
    PublicSet(
        name="chestxray14",
        title="NIH ChestX-ray14",
        kind="chest radiographs",
        holds="112,120 images of 30,805 patients, 14 findings",
        paper="Wang et al. 2017, CVPR, arXiv:1705.02315",
        page="https://nihcc.app.box.com/v/ChestXray-NIHCC",
        licence="free, with attribution to the NIH Clinical Center",
        size="42 GB",
        lies="images_001/ to images_012/ with images/ in each, Data_Entry_2017.csv, train_val_list.txt, test_list.txt",
        groups="Patient ID",
        split="the two lists",
        traps=(
            "Labels are read from reports by a program; radiologists contest many of them (Oakden-Rayner 2020, "
            "doi:10.1016/j.acra.2019.10.006).",
            "Half of the images have no finding: scores that count them look good.",
        ),
        read=read_chestxray14,
        tables=r"(Data_Entry_2017(_v\d+)?|BBox_List_2017(_Official_NIH)?|README_.*)\.(csv|xlsx)",
    ),
    PublicSet(
        name="rsna-pneumonia",
        title="RSNA pneumonia detection challenge 2018",
        kind="chest radiographs (DICOM)",
        holds="26,684 images with labels, 3,000 without",
        paper="Shih et al. 2019, Radiology: AI 1(1):e180041",
        page="https://www.kaggle.com/c/rsna-pneumonia-detection-challenge",
        licence="for non-commercial research and education",
        size="3.7 GB",
        lies="stage_2_train_images/, stage_2_train_labels.csv, stage_2_detailed_class_info.csv, stage_2_test_images/",
        groups="none: patientId is the image's name",
        split="none with labels",
        traps=(
            "A row is a box: images with several boxes have several rows, merged here.",
            "The images are those of NIH ChestX-ray14: the same patient comes under several names, and a set that "
            "was trained on the one is no test for the other.",
            "Three classes: --labels stage_2_detailed_class_info.csv.",
        ),
        read=read_rsna_pneumonia,
        tables=r"stage_2_(train_labels|detailed_class_info|sample_submission)\.csv",
    ),
    PublicSet(
        name="covid19-radiography",
        title="COVID-19 Radiography Database",
        kind="chest radiographs",
        holds="21,165 images: 3,616 COVID, 6,012 lung opacity, 10,192 normal, 1,345 viral pneumonia",
        paper="Chowdhury et al. 2020, IEEE Access 8:132665; Rahman et al. 2021, Comput Biol Med 132:104319",
        page="https://www.kaggle.com/datasets/tawsifurrahman/covid19-radiography-database",
        licence="by source, see the page",
        size="0.8 GB",
        lies="COVID/, Lung_Opacity/, Normal/, Viral Pneumonia/, in each images/ and masks/, and a spreadsheet a class",
        groups="none",
        split="none",
        traps=(
            "Each class comes from other hospitals: networks learn the source (Maguolo and Nanni 2021, "
            "arXiv:2004.12823). A high score here says little of COVID.",
            "Viral pneumonia is of children.",
        ),
        read=covid_radiography.read,
        tables=r"(COVID|Lung_Opacity|Normal|Viral Pneumonia)\.metadata\.xlsx",
    ),
)
