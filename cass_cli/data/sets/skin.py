"""Other sets of skin: Dermofit, PAD-UFES-20, Fitzpatrick17k."""

from __future__ import annotations

from pathlib import PurePosixPath

from cass_cli.data.layouts.columns import Columns
from cass_cli.data.layouts.csv_layout import HowToRead
from cass_cli.data.layouts.folders import looks_like_dermofit, read_dermofit
from cass_cli.data.layouts.lookup import Index
from cass_cli.data.layouts.records import Records
from cass_cli.data.sets.public_set import PublicSet
from cass_cli.data.sets.reading import find_table, read_table_as, with_column

DERMOFIT_CLASSES = frozenset({"AK", "BCC", "DF", "IEC", "MAL", "MEL", "ML", "PYO", "SCC", "SK", "VASC"})


def read_known_dermofit(index: Index, how: HowToRead) -> Records | None:
    """Read case folders in class folders, all of them called as Dermofit's classes are."""
    names = index.scan.images
    if how.columns.named or not looks_like_dermofit(names):
        return None
    if not {name.split("/")[-3] for name in names} <= DERMOFIT_CLASSES:
        return None
    return read_dermofit(names, unread=index.scan.unread)


def read_pad_ufes_20(index: Index, how: HowToRead) -> Records | None:
    """Read the metadata: the diagnosis of each photograph, grouped by patient."""
    table = find_table(index, r"metadata\.csv", "patient_id", "lesion_id", "img_id", "diagnostic", "biopsed")
    if table is None:
        return None
    return read_table_as(table, index, how, Columns(image="img_id", label="diagnostic", group="patient_id"))


def read_fitzpatrick17k(index: Index, how: HowToRead) -> Records | None:
    """Read the table of the paper's 114 conditions; images that could not be downloaded are left out."""
    needed = ("md5hash", "label", "nine_partition_label", "three_partition_label", "url")
    table = find_table(index, r"fitzpatrick17k\.csv", *needed)
    if table is None:
        return None
    table = with_column(table, "md5hash", [PurePosixPath(name).stem for name in table.columns["md5hash"]])
    return read_table_as(table, index, how, Columns(image="md5hash", label="label"), skip=True)


SETS = (
    PublicSet(
        name="dermofit",
        title="Dermofit image library",
        kind="photographs of skin lesions",
        holds="1,300 images of 10 diagnoses",
        paper="Ballerini et al. 2013, Color Medical Image Analysis, 63-86",
        page="https://licensing.edinburgh-innovations.ed.ac.uk/product/dermofit-image-library",
        licence="of the University of Edinburgh, against a fee",
        size="0.6 GB",
        lies="AK/, BCC/, DF/, IEC/, MEL/, ML/, PYO/, SCC/, SK/, VASC/, in each a folder a case with its image and mask",
        groups="the case, where one holds several images; who the patients are is not told",
        split="none",
        traps=("Beside each image lies its mask, …mask.png: left out.",),
        read=read_known_dermofit,
    ),
    PublicSet(
        name="pad-ufes-20",
        title="PAD-UFES-20",
        kind="photographs of skin lesions by smartphones",
        holds="2,298 images of 1,641 lesions of 1,373 patients, 6 diagnoses",
        paper="Pacheco et al. 2020, Data in Brief 32:106221",
        page="https://data.mendeley.com/datasets/zr7vgbcyr2/1",
        licence="CC BY 4.0",
        size="3.6 GB",
        lies="images/imgs_part_1/ to imgs_part_3/ (unpack the three inner archives too), metadata.csv",
        groups="patient_id",
        split="none",
        traps=(
            "Some 26 columns are facts of the patient, and no labels.",
            "58 % are proven by biopsy, which goes with the diagnosis: column biopsed is no feature.",
        ),
        read=read_pad_ufes_20,
        tables=r"metadata\.csv",
    ),
    PublicSet(
        name="fitzpatrick17k",
        title="Fitzpatrick17k",
        kind="clinical photographs of skin",
        holds="16,577 images of 114 conditions",
        paper="Groh et al. 2021, CVPR workshops, arXiv:2104.09957",
        page="https://github.com/mattgroh/fitzpatrick17k",
        licence="CC BY-NC-SA 3.0 (annotations); the images are those of two atlases",
        size="1.5 GB, image by image",
        lies="fitzpatrick17k.csv, and the images of its column url saved as <md5hash>.jpg",
        groups="none",
        split="none",
        traps=(
            "Many addresses are dead: rows without an image are left out and counted.",
            "Coarser labels: --label-column nine_partition_label or three_partition_label.",
            "Some labels are wrong (column qc tells of 504 that were looked at), and images come twice (Abhishek et "
            "al. 2024, arXiv:2401.14497): use --split-by-duplicates.",
        ),
        read=read_fitzpatrick17k,
        tables=r"fitzpatrick17k\.csv",
    ),
)
