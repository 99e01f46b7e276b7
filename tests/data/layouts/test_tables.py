"""Tables as publishers and spreadsheets write them: which column is what, what cells say, what stops."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from cass_cli.data.layouts.columns import Columns
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.sources import load_samples
from cass_cli.errors import DataError
from tests.data.files import labels_of, noted, touch, write


def pictures(root: Path, n: int = 12) -> Path:
    return touch(root, *(f"imgs/p{i:03d}.png" for i in range(n)))


def read(root: Path, header: str, *cells: str, n: int = 12, name: str = "labels.csv", **options: object) -> SampleTable:
    """Read a table whose row i is `p00i.png` and the cells, formatted with i."""
    pictures(root, n)
    write(root / name, f"image,{header}", *(f"p{i:03d}.png,{cells[i % len(cells)].format(i)}" for i in range(n)))
    return load_samples(root, columns=Columns(**options))  # type: ignore[arg-type]


def test_a_column_named_like_a_label_wins_over_true_and_false(tmp_path: Path) -> None:
    cells = ("True,False,NEV,True", "False,True,BCC,False", "True,True,NEV,True")
    table = read(tmp_path, "smoke,drink,diagnostic,itch", *cells)
    assert table.classes == ("BCC", "NEV")
    assert noted(table, "Columns not used: smoke, drink, itch")


def test_true_and_false_are_no_classes_by_themselves(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can be told to be the label: round, flat"):
        read(tmp_path, "round,flat", "True,False", "False,True", "True,True")
    with pytest.raises(DataError, match="disease, malignant"):
        read(tmp_path, "disease,malignant", "melanoma,True", "nevus,False", "wart,False")
    table = load_samples(tmp_path, columns=Columns(label="malignant"))
    assert table.classes == ("False", "True")


def test_covariates_are_no_classes(tmp_path: Path) -> None:
    assert read(tmp_path, "target,sex_male,external", "0,1,0", "1,0,0", "1,1,1").classes == ("0", "1")


def test_two_readings_of_one_table_stop_and_name_the_option(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="may be column 'target', or all of target, ridged, dotted") as caught:
        read(tmp_path, "target,ridged,dotted", "0,1,0", "1,0,0", "1,1,1")
    assert "--label-column target, or --label-column target,ridged,dotted" in caught.value.hint
    with pytest.raises(DataError, match="implant"):
        read(tmp_path, "cancer,biopsy,implant", "0,1,a", "1,0,b", "1,1,a")


@pytest.mark.parametrize(
    ("cells", "separator"),
    [(("a|b", "b", "c|a"), None), (("a;b", "b", "c;a"), None), (("a+b", "b", "c+a"), "+")],
)
def test_lists_in_a_cell(tmp_path: Path, cells: tuple[str, ...], separator: str | None) -> None:
    labels = labels_of(read(tmp_path, "findings", *cells, separator=separator))
    assert [labels[f"imgs/p00{i}.png"] for i in range(3)] == [{"a", "b"}, {"b"}, {"a", "c"}]


def test_python_lists_and_no_finding(tmp_path: Path) -> None:
    table = read(tmp_path, "labels", "\"['nodule', 'mass']\"", "\"['none']\"", "\"['mass']\"", "[]")
    assert table.classes == ("mass", "nodule")
    assert [len(labels_of(table)[f"imgs/p00{i}.png"]) for i in range(4)] == [2, 0, 1, 0]


def test_commas_part_classes_only_where_each_comes_in_other_company(tmp_path: Path) -> None:
    assert read(tmp_path / "one", "label", '"pneumonia, viral"', "normal").classes == ("normal", "pneumonia, viral")
    assert read(tmp_path / "many", "label", '"a, b"', "a", "b").classes == ("a", "b")


def test_what_is_missing_is_missing(tmp_path: Path) -> None:
    table = read(tmp_path, "label,patient_id", "a,P{}", "b,NA", "NA,N/A")
    assert table.classes == ("a", "b")
    assert set(table.groups or ()) == {"", "P0", "P3", "P6", "P9"}
    assert noted(table, "'NA' is taken as no label (4 rows)")


def test_minus_one_beside_one_is_a_class_and_beside_others_missing(tmp_path: Path) -> None:
    assert read(tmp_path / "two", "label", "-1", "1").classes == ("-1", "1")
    table = read(tmp_path / "three", "label", "-1", "0", "1")
    assert table.classes == ("0", "1")
    assert noted(table, "'-1' is taken as no label (4 rows)")


@pytest.mark.parametrize(("uncertain", "bit"), [("unknown", -1), ("as-negative", 0), ("as-positive", 1)])
def test_uncertain_cells(tmp_path: Path, uncertain: str, bit: int) -> None:
    table = read(tmp_path, "Edema,Mass", "1.0,1.0", "-1.0,0.0", ",1.0", uncertain=uncertain)
    assert table.labels is not None
    assert table.labels[:3].tolist() == [[1, 1], [bit, 0], [0, 1]]  # empty where uncertain is told: not mentioned
    assert noted(table, "4 cells are uncertain (-1)", "--uncertain")


def test_spellings_of_one_class_are_one(tmp_path: Path) -> None:
    table = read(tmp_path, "label", "Benign", "benign", "BENIGN", "benign", "Malignant")
    assert table.classes == ("Malignant", "benign")
    assert noted(table, "BENIGN", "another spelling of benign")
    assert read(tmp_path / "letters", "label", "A", "a").classes == ("A", "a")


def test_codes_of_many_digits_are_classes_of_their_own(tmp_path: Path) -> None:
    assert len(read(tmp_path, "label", "254837009", "254837010", "254837011").classes) == 3
    assert read(tmp_path / "same", "label", "1", "1.0", "01", "2").classes == ("1", "2")
    assert read(tmp_path / "signs", "label", "HER2-", "HER2").classes == ("HER2", "HER2-")


def test_a_strangers_column_called_status_is_no_table_of_ours(tmp_path: Path) -> None:
    rows = [f"p{i:03d}.png,{('train', 'test')[i % 2]},{'ab'[i % 3 % 2]},final" for i in range(12)]
    write(pictures(tmp_path) / "labels.csv", "image,split,diagnosis,status", *rows)
    assert load_samples(tmp_path).classes == ("a", "b")


def test_a_patients_diagnosis_is_a_label_and_no_group(tmp_path: Path) -> None:
    table = read(tmp_path, "patient_diagnosis", "flu", "cold")
    assert (table.classes, table.groups) == (("cold", "flu"), None)


def test_measurements_are_no_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"12 different numbers from 0\.5 to 11\.5: a measurement"):
        read(tmp_path, "target", "{}.5")
    with pytest.raises(DataError, match="a measurement"):
        read(tmp_path, "boneage", "{}7")
    assert len(read(tmp_path / "grades", "grade", "{}").classes) == 12


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("train", "test", "external"), "--split-values none=external"),
        (("0", "1", "2"), "--split-values train=0,val=1,test=2"),
        (("1", "2"), "--split-values train=1,test=2"),
    ],
)
def test_a_split_is_never_dropped_in_silence(tmp_path: Path, values: tuple[str, ...], words: str) -> None:
    with pytest.raises(DataError, match="holds what names no split") as caught:
        read(tmp_path, "label,split", *(f"{'ab'[i % 2]},{values[i % len(values)]}" for i in range(6)))
    assert words in caught.value.hint
    mapping = {pair.partition("=")[2]: pair.partition("=")[0] for pair in words.split()[1].split(",")}
    table = load_samples(tmp_path, columns=Columns(split_values=mapping))
    assert set(table.splits or ()) == {"train", "test"} | ({"val"} if len(values) == 3 and "0" in values else set())
    assert len(table) == (8 if "external" in values else 12)


def test_other_columns_that_tell_splits(tmp_path: Path) -> None:
    assert set(read(tmp_path / "a", "label,usage", "a,Training", "b,Test").splits or ()) == {"train", "test"}
    assert read(tmp_path / "b", "label,is_test", "a,0", "b,1", "b,0", "a,0").splits is not None
    with pytest.raises(DataError, match="Several columns tell splits"):
        read(tmp_path / "c", "label,fold_a,fold_b", "a,train,test", "b,test,train")


def test_groups_that_are_the_labels_are_none(tmp_path: Path) -> None:
    table = read(tmp_path, "label,case", "a,1", "b,2")
    assert table.groups is None
    assert noted(table, "parts the images as the labels do")


@pytest.mark.parametrize("kind", ["sep", "utf-16", "headless", "unknown columns", "gz", "pandas index"])
def test_tables_of_many_hands(tmp_path: Path, kind: str) -> None:
    pictures(tmp_path)
    rows = [(f"p{i:03d}.png", "ab"[i % 2]) for i in range(12)]
    plain = "image,label\n" + "".join(f"{image},{label}\n" for image, label in rows)
    file, data = "labels.csv", plain.encode()
    if kind == "sep":
        data = ("sep=;\r\n" + plain.replace(",", ";").replace("\n", "\r\n")).encode()
    elif kind == "utf-16":
        data = plain.replace(",", "\t").encode("utf-16")
    elif kind == "headless":
        data = "".join(f"TRAIN,{image},{label}\n" for image, label in rows).encode()
    elif kind == "unknown columns":
        data = ("StudyInstanceUID,ETT\n" + "".join(f"{image[:-4]},{label}\n" for image, label in rows)).encode()
    elif kind == "gz":
        file, data = "labels.csv.gz", gzip.compress(data)
    elif kind == "pandas index":
        data = (
            "," + "".join(f"{i - 1}," * (i > 0) + f"{line}\n" for i, line in enumerate(plain.splitlines()))
        ).encode()
    (tmp_path / file).write_bytes(data)
    table = load_samples(tmp_path)
    assert set(labels_of(table).values()) == {"a", "b"}
    assert len(table) == 12


def test_tables_of_one_split_each_are_joined(tmp_path: Path) -> None:
    pictures(tmp_path)
    for name, images in (("train", range(8)), ("valid", range(8, 12))):
        write(tmp_path / f"{name}.csv", "Path,label", *(f"set-v1/imgs/p{i:03d}.png,{'ab'[i % 2]}" for i in images))
    table = load_samples(tmp_path)
    assert table.splits == ("train",) * 8 + ("val",) * 4
    assert noted(table, "train.csv + valid.csv")
    assert noted(table, "begin with folders that are not there")


@pytest.mark.parametrize("name", ["labels.csv", "train.csv", "metadata.csv", "labels.xlsx", "metadata.jsonl"])
def test_a_table_of_labels_that_cannot_be_used_stops(tmp_path: Path, name: str) -> None:
    write(pictures(tmp_path) / name, "picture,label", "nowhere.png,a", "else.png,b")
    with pytest.raises(DataError, match=f"{name} in .* cannot be used"):
        load_samples(tmp_path)
    assert load_samples(tmp_path, layout="flat").labels is None


def test_any_other_table_is_named_with_the_reason(tmp_path: Path) -> None:
    write(pictures(tmp_path) / "prices.csv", "what,euro", "stent,3", "catheter,4")
    assert noted(load_samples(tmp_path), "prices.csv is not used: ", "looks like image names")


def test_a_named_table_without_labels_stops_unless_that_is_said(tmp_path: Path) -> None:
    write(pictures(tmp_path) / "who.csv", "image,patient_id", *(f"p{i:03d}.png,{i // 2}" for i in range(12)))
    with pytest.raises(DataError, match=r"No column of who\.csv is a label"):
        load_samples(tmp_path, labels=Path("who.csv"))
    table = load_samples(tmp_path, labels=Path("who.csv"), columns=Columns(label="none"))
    assert table.labels is None
    assert len(set(table.groups or ())) == 6


def test_rows_without_a_file(tmp_path: Path) -> None:
    pictures(tmp_path)
    write(tmp_path / "labels.csv", "image,label", *(f"p{i:03d}.png,{'ab'[i % 2]}" for i in range(15)))
    with pytest.raises(DataError, match="3 images of 15") as caught:
        load_samples(tmp_path)
    assert "--missing skip" in caught.value.hint
    table = load_samples(tmp_path, skip_missing=True)
    assert len(table) == 12
    assert noted(table, "3 rows of labels.csv without a file", "p012.png, p013.png, p014.png")
    assert ("p014.png", "no such file") in table.left_out


@pytest.mark.parametrize(
    ("raw", "how"),
    [
        ("p{:03d}.jpg", "another extension"),
        ("P{:03d}.PNG", "upper and lower case"),
        ("old/p{:03d}.png", "other folders"),
    ],
)
def test_names_are_bent_to_the_files_and_told(tmp_path: Path, raw: str, how: str) -> None:
    pictures(tmp_path)
    write(tmp_path / "labels.csv", "image,label", *(f"{raw.format(i)},{'ab'[i % 2]}" for i in range(12)))
    table = load_samples(tmp_path)
    assert len(table) == 12
    assert noted(table, "12 names", how)


def test_two_names_of_one_file_are_not_bent_to_it(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "a/2.png")
    write(tmp_path / "labels.csv", "image,label", "x/1.png,a", "y/1.png,a", "a/2.png,b")
    with pytest.raises(DataError, match=r"2 images of 3 .*: x/1\.png, y/1\.png"):
        load_samples(tmp_path)
    assert load_samples(tmp_path, skip_missing=True).names == ("a/2.png",)


def test_few_patients_are_groups_and_case_and_control_are_classes(tmp_path: Path) -> None:
    rows = [f"{'ab'[i % 2]},P{i % 3}" for i in range(6)]
    table = read(tmp_path / "patients", "label,patient_id", *rows, n=60)
    assert set(table.groups or ()) == {"P0", "P1", "P2"}
    assert read(tmp_path / "study", "case", "case", "control", n=60).classes == ("case", "control")


def test_a_pair_of_pictures_a_row(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i}_{side}.jpg" for i in range(8) for side in ("left", "right")))
    rows = [f"{i},{i}_left.jpg,{i}_right.jpg,{'ab'[i % 2]},{'ba'[i % 2]}" for i in range(8)]
    write(tmp_path / "data.csv", "ID,Left-Fundus,Right-Fundus,Left-Grade,Right-Grade", *rows)
    table = load_samples(tmp_path)
    assert len(table) == 16
    assert labels_of(table)["0_left.jpg"] == "a"
    assert labels_of(table)["0_right.jpg"] == "b"
    assert table.groups is not None
    assert table.groups[0] == table.groups[1] != table.groups[2]
    assert noted(table, "Left-Fundus, Right-Fundus", "two of one patient")


def test_columns_of_a_pair_may_be_called_anything(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i}_{side}.jpg" for i in range(8) for side in ("left", "right")))
    write(
        tmp_path / "d.csv",
        "pair,left,right,label",
        *(f"{i},{i}_left.jpg,{i}_right.jpg,{'ab'[i % 2]}" for i in range(8)),
    )
    assert len(load_samples(tmp_path)) == 16


def test_labels_of_the_patient_are_those_of_both_pictures(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i}_{side}.jpg" for i in range(8) for side in ("left", "right")))
    rows = [f"{i}_left.jpg,{i}_right.jpg,{i % 2},{(i + 1) % 2}" for i in range(8)]
    write(tmp_path / "data.csv", "Left-Fundus,Right-Fundus,N,D", *rows)
    labels = labels_of(load_samples(tmp_path))
    assert labels["1_left.jpg"] == labels["1_right.jpg"] == "N"
