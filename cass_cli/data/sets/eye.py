"""Sets of the eye: APTOS 2019, Messidor-2, OCT2017."""

from __future__ import annotations

from pathlib import PurePosixPath

from cass_cli.data.layouts.columns import Columns
from cass_cli.data.layouts.csv_layout import HowToRead
from cass_cli.data.layouts.lookup import Index
from cass_cli.data.layouts.records import Records
from cass_cli.data.layouts.tables import Table
from cass_cli.data.sets.public_set import PublicSet
from cass_cli.data.sets.reading import Pattern, find_table, read_table_as, with_column

EXAMINATION = "examination"
GRADES = {str(grade) for grade in range(5)}


def read_aptos(index: Index, how: HowToRead) -> Records | None:
    """Read train.csv: a grade of diabetic retinopathy, 0 to 4, an image; images of the test have no labels."""
    table = find_table(index, r"train\.csv", "id_code", "diagnosis")
    own_test = find_table(
        index, r"test\.csv", "id_code", "diagnosis"
    )  # somebody's own split: the publisher's tells no grade
    if table is None or own_test is not None or not set(table.columns["diagnosis"]) <= GRADES:
        return None
    return read_table_as(table, index, how, Columns(image="id_code", label="diagnosis"))


def read_messidor2(index: Index, how: HowToRead) -> Records | None:
    """Read the adjudicated grades, and the two eyes of an examination from the publisher's table of pairs."""
    table = find_table(index, r"messidor_data\.csv", "image_id", "adjudicated_dr_grade")
    if table is None:
        return None
    groups = [""] * len(table)
    if (pairs := find_table(index, r"messidor-?2\.csv")) is not None:
        eyes = _eyes(pairs)
        groups = [eyes.get(PurePosixPath(name).stem, "") for name in table.columns["image_id"]]
    columns = Columns(image="image_id", label="adjudicated_dr_grade", group=EXAMINATION if any(groups) else None)
    return read_table_as(with_column(table, EXAMINATION, groups), index, how, columns)


def _eyes(pairs: Table) -> dict[str, str]:
    """Return image → examination of a table whose row names the left and the right eye."""
    rows = zip(*(cells for cells in pairs.columns.values() if any(PurePosixPath(c).suffix for c in cells)), strict=True)
    return {PurePosixPath(name).stem: PurePosixPath(row[0]).stem for row in rows for name in row if name}


OCT_CLASSES = {name: name for name in ("CNV", "DME", "DRUSEN", "NORMAL")}
oct2017 = Pattern(
    path=r"(?P<split>train|val|test)/(?P<label>CNV|DME|DRUSEN|NORMAL)/(?P=label)-(?P<group>\d+)-\d+\.jpe?g",
    classes=OCT_CLASSES,
    splits={"train": "train", "val": "val", "test": "test"},
    groups_by="patients in file names",
)

SETS = (
    PublicSet(
        name="aptos2019",
        title="APTOS 2019 blindness detection",
        kind="photographs of the fundus",
        holds="3,662 images with grades 0 (no retinopathy) to 4 (proliferative), 1,928 without",
        paper="Karthik, Maggie, Dane 2019, Kaggle",
        page="https://www.kaggle.com/c/aptos2019-blindness-detection",
        licence="of the competition",
        size="10 GB",
        lies="train_images/, train.csv, test_images/, test.csv",
        groups="none",
        split="none with labels",
        traps=(
            "Images come twice, some with two grades: use --split-by-duplicates.",
            "Grades are an order: a 0 taken for a 4 is worse than for a 1, which no score here knows.",
            "Cameras differ in the shape of the picture, and with it the grades.",
        ),
        read=read_aptos,
        tables=r"(train|test|sample_submission)\.csv",
    ),
    PublicSet(
        name="messidor2",
        title="Messidor-2",
        kind="photographs of the fundus",
        holds="1,748 images of 874 examinations; grades 0 to 4",
        paper="Decencière et al. 2014, Image Anal Stereol 33:231; grades: Krause et al. 2018, Ophthalmology 125:1264",
        page="https://www.adcis.net/en/third-party/messidor2/",
        licence="for research and education, on request",
        size="2.3 GB",
        lies="IMAGES/, messidor_data.csv (the grades, had apart on Kaggle), messidor-2.csv (left and right eyes)",
        groups="the examination, by the table of pairs",
        split="none",
        traps=(
            "The publisher ships no grades: those of messidor_data.csv are by three retina specialists.",
            "Without the table of pairs the two eyes of a person are taken for two.",
        ),
        read=read_messidor2,
        tables=r"messidor_data\.csv|messidor-?2\.csv",
    ),
    PublicSet(
        name="oct2017",
        title="OCT2017 (Kermany)",
        kind="optical coherence tomography of the retina",
        holds="84,484 images: choroidal neovascularisation, diabetic macular oedema, drusen, normal",
        paper="Kermany et al. 2018, Cell 172:1122",
        page="https://data.mendeley.com/datasets/rscbjbr9sj",
        licence="CC BY 4.0",
        size="5.8 GB",
        lies="OCT2017/train/, val/ (on Kaggle) and test/, in each CNV/, DME/, DRUSEN/, NORMAL/",
        groups="the patient, the first number in a file's name",
        split="the folders",
        traps=(
            "Most patients of the test come in training too (566 of 633 by the numbers in the names): cass says how "
            "many. --split-column none splits anew by patient.",
            "One patient may come under several classes: the number alone is the group.",
            "The 32 images of val are too few to choose by.",
        ),
        read=oct2017.read,
    ),
)
