"""Folders as people make them by hand: small variations that a reader by rules may trip over."""

from __future__ import annotations

import json

from .draw import Draw

AB = ("benign", "malignant")
SPLITS = (("train", 6), ("val", 3), ("test", 3))


def split_below_class(draw: Draw) -> None:
    """The class first, the split within."""
    for label in AB:
        for split, each in SPLITS:
            draw.fill(f"{label}/{split}", label, split, each)


def container_below_split(draw: Draw) -> None:
    """A folder `images` between the split and the classes."""
    for split, each in SPLITS:
        for label in AB:
            draw.fill(f"{split}/images/{label}", label, split, each)


def class_above_images(draw: Draw) -> None:
    """Each class keeps its images in a folder `images`, within split folders."""
    for split, each in SPLITS:
        for label in AB:
            draw.fill(f"{split}/{label}/images", label, split, each)


def two_hospitals(draw: Draw) -> None:
    """The same classes from two places."""
    for place in ("hospital_a", "hospital_b"):
        for label in AB:
            draw.fill(f"{place}/{label}", label, name=place[-1] + "{i}.jpg", views={"place": place})


def two_modalities(draw: Draw) -> None:
    """Splits and classes within each of two kinds of images."""
    for kind in ("CT", "MRI"):
        for split, each in SPLITS:
            for label in AB:
                draw.fill(f"{kind}/{split}/{label}", label, split, each, views={"kind": kind})


def patients_as_folders(draw: Draw) -> None:
    """A folder a patient, and no classes."""
    for patient in range(1, 9):
        draw.fill(f"P{patient:03d}", each=3, group=f"P{patient}")


def numbered_patients(draw: Draw) -> None:
    """A folder a patient, called by a number alone."""
    for patient in range(101, 113):
        draw.fill(f"{patient}", each=3, group=f"{patient}")


def dates_as_folders(draw: Draw) -> None:
    """A folder a day on which images were taken."""
    for day in ("2021-01-03", "2021-01-07", "2021-02-11"):
        draw.fill(day, name=day + "_{i}.jpg")


def labelled_and_not(draw: Draw) -> None:
    """A pool of images without labels beside those with."""
    for label in AB:
        draw.fill(f"labeled/{label}", label)
    for i in range(10):
        draw.free(f"unlabeled/u{i}.jpg")


def table_in_wrapper(draw: Draw) -> None:
    """An archive unpacked into a folder of its own: the table lies a level below."""
    rows = []
    for i in range(12):
        draw.image(f"mydata/images/p{i}.png", AB[i % 2])
        rows.append((f"p{i}.png", AB[i % 2]))
    draw.table("mydata/labels.csv", "image,label", rows)


def tabs(draw: Draw) -> None:
    """Labels in a .tsv."""
    rows = []
    for i in range(12):
        draw.image(f"images/p{i}.png", AB[i % 2])
        rows.append((f"p{i}.png", AB[i % 2]))
    draw.table("labels.tsv", "image,label", rows, delimiter="\t")


def json_labels(draw: Draw) -> None:
    """Labels in a .json."""
    labels = {}
    for i in range(12):
        draw.image(f"images/p{i}.png", AB[i % 2])
        labels[f"p{i}.png"] = AB[i % 2]
    draw.file("labels.json", json.dumps(labels))


def captions(draw: Draw) -> None:
    """A text for each image, as Hugging Face's metadata.csv holds it: as many texts as images."""
    rows = []
    for i in range(24):
        draw.image(f"train/{i:04d}.png", f"Chest film {i} of a patient aged {30 + i}.", "train")
        rows.append((f"{i:04d}.png", f"Chest film {i} of a patient aged {30 + i}."))
    draw.table("train/metadata.csv", "file_name,text", rows)


def soft_labels(draw: Draw) -> None:
    """How sure the readers were, between 0 and 1."""
    rows = []
    for i in range(12):
        draw.image(f"images/p{i}.png", AB[i % 2])
        rows.append((f"p{i}.png", [0.8, 0.3][i % 2], [0.2, 0.7][i % 2]))
    draw.table("labels.csv", "image,benign,malignant", rows)


def anonymous(draw: Draw) -> None:
    """All patients bear one name, as INbreast's are all `removed`."""
    rows = []
    for i in range(20):
        draw.image(f"images/p{i}.png", AB[i % 2])
        rows.append((f"p{i}.png", AB[i % 2], "removed"))
    draw.table("labels.csv", "image,label,patient_id", rows)


def missing_words(draw: Draw) -> None:
    """Ways to say that a label is not known."""
    cells = ["benign", "malignant", "N/A", "benign", "malignant", "null"]
    rows = []
    for i in range(24):
        cell = cells[i % 6]
        draw.image(f"images/p{i}.png", cell if cell in AB else ())
        rows.append((f"p{i}.png", cell))
    draw.table("labels.csv", "image,label", rows)


def both_splits(draw: Draw) -> None:
    """An image that the table puts in train and in test."""
    rows = []
    for i in range(12):
        draw.image(f"images/p{i}.png", AB[i % 2], "train" if i < 8 else "test")
        rows.append((f"p{i}.png", AB[i % 2], "train" if i < 8 else "test"))
    rows.append(("p0.png", "benign", "test"))
    draw.table("labels.csv", "image,label,split", rows)


def test_in_table(draw: Draw) -> None:
    """Class folders for train, a table for test."""
    for label in AB:
        draw.fill(f"train/{label}", label, "train")
    rows = []
    for i in range(6):
        draw.note(draw.free(f"test/t{i}.jpg"), AB[i % 2], "test", read="free")
        rows.append((f"t{i}.jpg", AB[i % 2]))
    draw.table("test_labels.csv", "image,label", rows)


def yes_no(draw: Draw) -> None:
    """A single yes or no."""
    rows = []
    for i in range(12):
        draw.image(f"images/p{i}.png", str(i % 2 == 0))
        rows.append((f"p{i}.png", i % 2 == 0))
    draw.table("labels.csv", "image,malignant", rows)


def comments(draw: Draw) -> None:
    """Remarks in the cells with commas, quotes and line breaks; Windows line ends; a mark of byte order."""
    lines = ["image,label,remark"]
    for i in range(12):
        draw.image(f"images/p{i}.png", AB[i % 2])
        lines.append(f'p{i}.png,{AB[i % 2]},"seen twice, ""clear"",\r\nno follow-up"')
    draw.file("labels.csv", b"\xef\xbb\xbf" + "\r\n".join(lines).encode())


def two_labels(draw: Draw) -> None:
    """A coarse and a fine diagnosis of each image."""
    fine = ["nevus", "keratosis", "melanoma", "carcinoma"]
    rows = []
    for i in range(16):
        draw.image(f"images/p{i}.png", fine[i % 4], coarse=AB[i % 4 // 2])
        rows.append((f"p{i}.png", AB[i % 4 // 2], fine[i % 4]))
    draw.table("labels.csv", "image,category,diagnosis", rows)


def resized_copies(draw: Draw) -> None:
    """The same images at two sizes, in two folders."""
    for label in AB:
        for i in range(1, 7):
            draw.image(f"512/{label}/{i}.jpg", label)
            draw.copy(f"224/{label}/{i}.jpg", f"512/{label}/{i}.jpg")
