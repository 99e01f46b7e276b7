"""Public sets are known by their files, read as their publishers describe them, and never told of others."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from cass_cli.data.layouts.columns import Columns
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.sets.catalogue import SETS, named_set
from cass_cli.data.sources import LAYOUTS, load_samples
from cass_cli.errors import ConfigError, DataError
from tests.data.files import labels_of, noted, touch, write
from tests.data.sets.trees import SHA, TREES

Row = tuple[object, str, str]  # label, group, split

READ: dict[str, dict[str, Row]] = {  # file stem → what is known of the image
    "isic2018": {
        "ISIC_0000001": ("NV", "HAM_True", "train"),
        "ISIC_0000002": ("MEL", "HAM_True", "train"),
        "ISIC_0000003": ("MEL", "HAM_False", "train"),
        "ISIC_0000004": ("NV", "", "val"),
        "ISIC_0000005": ("MEL", "", "test"),
        "ISIC_0000006": ("NV", "", "test"),
    },
    "isic2019": {
        "ISIC_0000001": ("NV", "A", "train"),
        "ISIC_0000002": ("NV", "B", "train"),
        "ISIC_0000003": ("NV", "", "train"),
        "ISIC_0000004_downsampled": ("MEL", "B", "train"),
        "ISIC_0034321": ("NV", "", "test"),
        "ISIC_0034322": (None, "", "test"),
    },
    "isic2020": {
        "ISIC_0000001": ("benign", "IP_1", ""),
        "ISIC_0000002": ("benign", "IP_2", ""),
        "ISIC_0000003": ("malignant", "IP_1", ""),
    },
    "ham10000": {
        "ISIC_0024306": ("nv", "HAM_0000550", "train"),
        "ISIC_0024307": ("nv", "HAM_0000550", "train"),
        "ISIC_0029306": ("mel", "HAM_0003577", "train"),
        "ISIC_0034524": ("nv", "HAMTEST_0000000", "test"),
    },
    "dermofit": {"A107": ("AK", "", ""), "A108": ("AK", "", ""), "B4": ("ML", "", ""), "P10": ("VASC", "", "")},
    "pad-ufes-20": {
        "PAT_1516_1765_530": ("NEV", "PAT_1516", ""),
        "PAT_46_881_939": ("BCC", "PAT_46", ""),
        "PAT_46_880_140": ("NEV", "PAT_46", ""),
    },
    "fitzpatrick17k": {
        "5e82a45bc5d78bd24ae9202d194423f8": ("psoriasis", "", ""),
        "fa2911a9b13b6f8af79cb700937cc14f": ("scabies", "", ""),
    },
    "chexpert": {
        "patient00001/study1/view1_frontal": ({"No Finding"}, "patient00001", "train"),
        "patient00001/study2/view1_frontal": ({"Cardiomegaly", "Support Devices"}, "patient00001", "train"),
        "patient00002/study1/view1_frontal": (set(), "patient00002", "train"),
        "patient64541/study1/view1_frontal": ({"Support Devices"}, "patient64541", "val"),
    },
    "chestxray14": {
        "00000001_000": ({"Cardiomegaly"}, "1", "train"),
        "00000001_001": ({"Cardiomegaly", "Emphysema"}, "1", "train"),
        "00000002_000": (set(), "2", "train"),
        "00000003_000": ({"Hernia"}, "3", "test"),
    },
    "rsna-pneumonia": {
        "0004cfab-14fd-4e49-80ba-63a80b6bddd6": ("0", "", ""),
        "00436515-870c-4b36-a041-de91049b9ab4": ("1", "", ""),
    },
    "covid19-radiography": {
        f"{kind}-{i}": (kind, "", "") for kind in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia") for i in (1, 2)
    },
    "aptos2019": {"000c1434d8d7": ("2", "", ""), "001639a390f0": ("4", "", ""), "0024cdab0c1e": ("0", "", "")},
    "messidor2": {
        "20051020_43808_0100_PP": ("0", "20051020_43808_0100_PP", ""),
        "20051020_43832_0100_PP": ("1", "20051020_43808_0100_PP", ""),
        "IM000012": ("3", "IM000013", ""),
        "IM000013": (None, "IM000013", ""),
    },
    "oct2017": {
        f"{kind}-{patient}-{i}": (kind, str(patient), split)
        for split, patient in (("train", 1016042), ("val", 8797076), ("test", 6294785))
        for kind in ("CNV", "NORMAL")
        for i in (1, 2)
    },
    "breakhis": {
        f"{code}-{slide}-{m}-00{i}": (kind, slide, "")
        for kind, code, slide in (("benign", "SOB_B_A", "14-22549AB"), ("malignant", "SOB_M_DC", "14-2523"))
        for m in (40, 400)
        for i in (1, 2)
    },
    "busi": {f"{kind} ({i})": (kind, "", "") for kind in ("benign", "malignant", "normal") for i in (1, 2)},
    "kvasir": {
        f"{kind}/0a7bdce4-ac0d-44ef-93ee-92dfc8fe0b8{i}": (kind, "", "")
        for kind in ("polyps", "esophagitis", "normal-cecum")
        for i in (1, 2)
    },
    "brain-tumor-nickparvar": {
        f"{name}-{short}{rest}": (kind, "", split)
        for kind, short in (("glioma", "gl"), ("meningioma", "me"), ("notumor", "no"), ("pituitary", "pi"))
        for name, rest, split in (("Tr", "Tr_0000", "train"), ("Tr", "_0010", "train"), ("Te", "_0010", "test"))
    },
    "brain-tumor-bhuvaji": {
        f"{folder}/{kind}_tumor/{name}": (f"{kind}_tumor", "", split)
        for kind in ("glioma", "meningioma", "no", "pituitary")
        for folder, name, split in (
            ("Training", "gg (1)", "train"),
            ("Training", "m1(2)", "train"),
            ("Testing", "image(1)", "test"),
        )
    },
    "patchcamelyon": {f"{SHA}1": ("0", "", ""), f"{SHA}2": ("1", "", ""), f"{SHA}3": ("0", "", "")},
    "medimeta": {
        f"{i:06d}": ("DME" if i % 2 else "CNV", f"P{i // 2}", split)
        for i, split in enumerate(("train", "train", "val", "test", "train"))
    },
}


def rows_of(table: SampleTable) -> dict[str, Row]:
    labels = labels_of(table)
    groups = table.groups or ("",) * len(table)
    splits = table.splits or ("",) * len(table)
    return {n: (labels[n], g, s) for n, g, s in zip(table.names, groups, splits, strict=True)}


@pytest.mark.parametrize("name", TREES)
def test_a_set_as_it_is_shipped_is_known_and_read(name: str, tmp_path: Path) -> None:
    TREES[name](tmp_path)
    table = load_samples(tmp_path)
    assert noted(table, "Recognised", SETS[name].title)
    found = rows_of(table)
    assert len(found) == len(READ[name])
    for part, row in READ[name].items():
        (path,) = [path for path in found if path.rpartition(".")[0].endswith(part)]
        assert found[path] == row, path
    asked = load_samples(tmp_path, layout=name)
    assert rows_of(asked) == found
    assert not table.obstacles


@pytest.mark.parametrize("name", TREES)
def test_a_table_of_another_hand_is_a_contradiction(name: str, tmp_path: Path) -> None:
    TREES[name](tmp_path)
    first = load_samples(tmp_path).names[0]
    write(tmp_path / "labels.csv", "image,label", f"{first},mine")
    with suppress(DataError):  # the two readings differ: cass asks
        assert not noted(load_samples(tmp_path), "Recognised")


PATTERNS = {  # a file that the publisher does not ship, for each set that paths alone tell
    "dermofit": "AK/A107/second look.png",
    "covid19-radiography": "COVID-19_Radiography_Dataset/Influenza/images/Influenza-1.png",
    "oct2017": "OCT2017/train/GLAUCOMA/GLAUCOMA-1-1.jpeg",
    "breakhis": "BreaKHis_v1/more/tissue_1.png",
    "busi": "Dataset_BUSI_with_GT/uncertain/uncertain (1).png",
    "kvasir": "kvasir-dataset-v2/polyps/mine.jpg",
    "brain-tumor-nickparvar": "Training/schwannoma/Tr-sc_0001.jpg",
    "brain-tumor-bhuvaji": "Training/schwannoma_tumor/a.jpg",
}


@pytest.mark.parametrize("name", PATTERNS)
def test_an_image_that_is_not_the_sets_is_a_contradiction(name: str, tmp_path: Path) -> None:
    TREES[name](tmp_path)
    touch(tmp_path, PATTERNS[name])
    with suppress(DataError):  # cass may ask what the folders are
        assert not noted(load_samples(tmp_path), "Recognised")
    if name != "dermofit":  # which is a layout too, whatever its classes are called
        with pytest.raises(DataError, match="not laid out as"):
            load_samples(tmp_path, layout=name)


def test_every_set_has_a_tree_a_name_and_its_facts() -> None:
    assert set(TREES) | {"medmnist"} == set(SETS)
    assert set(SETS) < set(LAYOUTS)
    for name, public in SETS.items():
        facts = (public.title, public.kind, public.holds, public.paper, public.licence, public.size, public.lies)
        assert name == public.name == name.lower()
        assert all(facts)
        assert public.traps
        assert public.page.startswith("https://")


def test_an_unknown_set_is_met_with_the_nearest() -> None:
    assert named_set("BUSI").name == "busi"
    with pytest.raises(ConfigError, match="ham10000"):
        named_set("ham1000")


def test_columns_that_the_user_names_go_before_the_sets(tmp_path: Path) -> None:
    TREES["fitzpatrick17k"](tmp_path)
    table = load_samples(tmp_path, columns=Columns(label="three_partition_label"))
    assert table.classes == ("non-neoplastic",)
    assert noted(table, "Recognised")
    TREES["isic2018"](tmp_path / "isic")
    table = load_samples(tmp_path / "isic", columns=Columns(group="none", split="none"))
    assert table.groups is None
    assert table.splits is None


SORTED = {  # images of a set that somebody has put into folders of splits
    "busi": ["train/benign/benign (1).png", "train/normal/normal (1).png", "test/benign/benign (2).png"],
    "covid19-radiography": ["train/COVID/COVID-1.png", "train/Normal/Normal-1.png", "test/COVID/COVID-2.png"],
}


@pytest.mark.parametrize("name", SORTED)
def test_folders_of_splits_that_the_publisher_does_not_ship_are_obeyed(name: str, tmp_path: Path) -> None:
    touch(tmp_path, *SORTED[name])
    table = load_samples(tmp_path)
    assert not noted(table, "Recognised")
    assert {n.partition("/")[0]: split for n, split in zip(table.names, table.splits or (), strict=True)} == {
        "train": "train",
        "test": "test",
    }


def test_classes_of_somebodys_own_are_obeyed(tmp_path: Path) -> None:
    names = ("SOB_B_A-14-22549AB-40-001.png", "SOB_B_F-14-9133-40-001.png", "SOB_M_DC-14-2523-40-001.png")
    touch(tmp_path, *(f"{kind}/{n}" for kind, n in zip(("adenosis", "fibroadenoma", "ductal"), names, strict=True)))
    table = load_samples(tmp_path)
    assert table.classes == ("adenosis", "ductal", "fibroadenoma")
    touch(tmp_path / "busi", "normal/benign (1).png", "benign/benign (2).png")
    assert not noted(load_samples(tmp_path / "busi"), "Recognised")


OWN_FOLDERS = {
    "ham10000": ("benign/ISIC_0024306.jpg", "benign/ISIC_0029306.jpg", "malignant/ISIC_0024307.jpg"),
    "aptos2019": ("DR/000c1434d8d7.png", "DR/001639a390f0.png", "No_DR/0024cdab0c1e.png"),
}


@pytest.mark.parametrize("name", OWN_FOLDERS)
def test_class_folders_beside_the_sets_table_are_asked_about(name: str, tmp_path: Path) -> None:
    TREES[name](tmp_path)
    for image in [path for path in tmp_path.rglob("*") if path.suffix in {".png", ".jpg"}]:
        image.unlink()
    (tmp_path / "ISIC2018_Task3_Test_GroundTruth.csv").unlink(missing_ok=True)
    if name == "ham10000":
        (tmp_path / "HAM10000_metadata").rename(tmp_path / "HAM10000_metadata.csv")
    touch(tmp_path, *OWN_FOLDERS[name])
    with pytest.raises(DataError, match="classes may be the folders"):
        load_samples(tmp_path)


def test_a_test_table_with_labels_is_somebodys_own_split(tmp_path: Path) -> None:
    TREES["aptos2019"](tmp_path)
    write(tmp_path / "test.csv", "id_code,diagnosis", "0005cfc8afb6,4")
    table = load_samples(tmp_path)
    assert not noted(table, "Recognised")
    assert dict(zip(table.names, table.splits or (), strict=True))["test_images/0005cfc8afb6.png"] == "test"


def test_two_tables_of_one_name_are_not_one(tmp_path: Path) -> None:
    TREES["pad-ufes-20"](tmp_path)
    more = (tmp_path / "metadata.csv").read_text().replace("PAT_46_880_140", "PAT_9_9_9")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "metadata.csv").write_text(more)
    touch(tmp_path, "more/PAT_9_9_9.png")
    with suppress(DataError):
        assert not noted(load_samples(tmp_path), "Recognised")


def test_a_class_in_a_format_that_is_not_read_stops_training(tmp_path: Path) -> None:
    TREES["busi"](tmp_path)
    for image in (tmp_path / "Dataset_BUSI_with_GT" / "normal").iterdir():
        image.rename(image.with_suffix(".jxl"))
    assert any("normal" in obstacle for obstacle in load_samples(tmp_path).obstacles)
