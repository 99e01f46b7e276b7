"""What people complain of when other tools misread a folder, and habits of those who make one by hand."""

from __future__ import annotations

import json

from .draw import Draw

AB = ("benign", "malignant")


def notebook_leftovers(draw: Draw) -> None:
    """Folders that Jupyter, macOS and Windows leave beside the classes."""
    for label in AB:
        draw.fill(label, label)
        draw.copy(f"{label}/.ipynb_checkpoints/1-checkpoint.jpg", f"{label}/1.jpg")
        draw.file(f"{label}/.DS_Store", b"\x00\x00\x00\x01Bud1")
        draw.file(f"{label}/Thumbs.db", b"\xd0\xcf\x11\xe0")
        draw.file(f"__MACOSX/{label}/._1.jpg", b"\x00\x05\x16\x07")
    draw.copy(".ipynb_checkpoints/1-checkpoint.jpg", "benign/1.jpg")


def synology(draw: Draw) -> None:
    """A network drive keeps a thumbnail of each image in a folder called @eaDir."""
    for label in AB:
        for name in draw.fill(label, label):
            draw.copy(f"{label}/@eaDir/{name.rpartition('/')[2]}/SYNOPHOTO_THUMB_XL.jpg", name)


def test_beside_classes(draw: Draw) -> None:
    """A folder of test images without labels beside train and a table."""
    for label in "012":
        draw.fill(f"train/{label}", label, "train", name=f"img{label}{{i}}.png")
    for i in range(4):
        draw.free(f"test/img{i}.png", "test")
    names = [(f"img{label}{i}.png", label) for label in "012" for i in range(1, 7)]
    draw.table("labels.csv", "name,label", names)


def empty_class(draw: Draw) -> None:
    """A class whose folder is empty."""
    for label in AB:
        draw.fill(label, label)
    (draw.root / "normal").mkdir()


def class_not_in_test(draw: Draw) -> None:
    """Test images of three of four classes."""
    for label in ("0", "90", "180", "270"):
        draw.fill(f"train/{label}", label, "train", name=f"a{label}_{{i}}.png")
        if label != "180":
            draw.fill(f"test/{label}", label, "test", 2, name=f"b{label}_{{i}}.png")


def one_folder_is_no_class(draw: Draw) -> None:
    """Images in one folder, others beside it: no classes."""
    draw.fill("data", each=6, name="image{i}.jpg")
    for i in range(7, 12):
        draw.image(f"image{i}.jpg")


def single_class_folder(draw: Draw) -> None:
    """One folder called after nothing in particular."""
    draw.fill("clinic_2021", each=12)


def letter_case_of_splits(draw: Draw) -> None:
    """The classes are spelled with capitals in one split."""
    for folder, split, each in (("train", "train", 6), ("test", "test", 3)):
        for label in AB:
            name = label.capitalize() if split == "train" else label
            draw.fill(f"{folder}/{name}", label, split, each, views={"capital": label.capitalize(), "apart": name})


def validate_folder(draw: Draw) -> None:
    """The folder of validation images is called validate, as scripts for BreakHis and IDC make it."""
    for folder, split, each in (("train", "train", 6), ("validate", "val", 3), ("test", "test", 3)):
        for label in AB:
            draw.fill(f"{folder}/{label}", label, split, each)


def external_folder(draw: Draw) -> None:
    """A folder of images from another hospital beside train and test."""
    for folder, split, each in (("train", "train", 6), ("test", "test", 3), ("external", "", 3)):
        for label in AB:
            for name in draw.fill(f"{folder}/{label}", label, split, each):
                if not split:
                    draw.note(name, label, "test", read="free")


def folds(draw: Draw) -> None:
    """Five folds of class folders."""
    for fold in range(1, 6):
        for label in AB:
            draw.fill(f"fold_{fold}/{label}", label, each=2, name=f"{fold}_{{i}}.png")


def original_and_augmented(draw: Draw) -> None:
    """Augmented copies in a folder beside the images."""
    for label in AB:
        draw.fill(f"original/{label}", label)
        for i in range(1, 7):
            for k in (1, 2):
                draw.aside(f"augmented/{label}/{i}_aug{k}.jpg", grey=False)


def tables_of_splits(draw: Draw) -> None:
    """A table for each split, and images in one folder."""
    for split, each in (("train", 12), ("val", 4), ("test", 4)):
        rows = [(f"{split}{i}.png", AB[i % 2]) for i in range(each)]
        for name, label in rows:
            draw.image(f"images/{name}", label, split)
        draw.table(f"{split}.csv", "image,label", rows)


def roboflow(draw: Draw) -> None:
    """A table in each split's folder, with blanks after its commas."""
    for folder, split, each in (("train", "train", 10), ("valid", "val", 4), ("test", "test", 4)):
        lines = ["filename, Benign, Malignant"]
        for i in range(each):
            name = f"{folder}{i}_jpg.rf.0a{i:02x}.jpg"
            draw.image(f"{folder}/{name}", ("Benign", "Malignant")[i % 2], split)
            lines.append(f"{name}, {1 - i % 2}, {i % 2}")
        draw.file(f"{folder}/_classes.csv", "\n".join(lines) + "\n")
    draw.file("README.roboflow.txt", "exported via roboflow.com\n")


def json_lines(draw: Draw) -> None:
    """Hugging Face's imagefolder: labels in metadata.jsonl beside the images."""
    for split, each in (("train", 10), ("test", 4)):
        lines = []
        for i in range(each):
            draw.image(f"{split}/{i:04d}.png", AB[i % 2], split)
            lines.append(json.dumps({"file_name": f"{i:04d}.png", "label": AB[i % 2]}))
        draw.file(f"{split}/metadata.jsonl", "\n".join(lines) + "\n")


def yolo(draw: Draw) -> None:
    """Boxes in text files: no classes of images."""
    for folder, split in (("train", "train"), ("valid", "val"), ("test", "test")):
        for i in range(6):
            draw.image(f"{folder}/images/{folder}{i}.jpg", split=split)
            draw.file(f"{folder}/labels/{folder}{i}.txt", "0 0.5 0.5 0.2 0.2\n")
    draw.file("data.yaml", "nc: 1\nnames: ['lesion']\n")


def long_form(draw: Draw) -> None:
    """A row for each finding of an image."""
    rows = []
    for i in range(12):
        found = [("edema",), ("nodule", "mass"), ("mass",)][i % 3]
        draw.image(f"img/p{i}.png", found)
        rows += [(f"p{i}.png", finding) for finding in found]
    draw.table("findings.csv", "image,finding", rows)


def other_machine(draw: Draw) -> None:
    """Paths of the machine on which the table was made."""
    rows = []
    for i in range(12):
        draw.image(f"images/p{i}.png", AB[i % 2])
        rows.append((f"C:\\Users\\anna\\data\\images\\p{i}.png", AB[i % 2]))
    draw.table("labels.csv", "path,label", rows)


def other_suffix(draw: Draw) -> None:
    """The table says .jpg, the disk .png."""
    rows = []
    for i in range(12):
        draw.image(f"images/p{i}.png", AB[i % 2])
        rows.append((f"p{i}.jpg", AB[i % 2]))
    draw.table("labels.csv", "image,label", rows)


def is_train(draw: Draw) -> None:
    """Splits as a yes or no."""
    rows = []
    for i in range(20):
        draw.image(f"images/p{i}.png", AB[i % 2], "train" if i < 14 else "test")
        rows.append((f"p{i}.png", AB[i % 2], int(i < 14)))
    draw.table("labels.csv", "image,label,is_train", rows)


def fold_column(draw: Draw) -> None:
    """Folds for cross-validation, and a set that is held out under the name of a split."""
    rows = []
    for i in range(24):
        draw.image(f"images/p{i}.png", AB[i % 2], "" if i < 18 else "test")
        rows.append((f"p{i}.png", AB[i % 2], f"fold{i % 3}" if i < 18 else "test"))
    draw.table("labels.csv", "image,label,split", rows)


def leading_zeros(draw: Draw) -> None:
    """A spreadsheet took the zeros from the front of the names."""
    rows = []
    for i in range(12):
        draw.image(f"images/{i:04d}.png", AB[i % 2])
        rows.append((i, AB[i % 2]))
    draw.table("labels.csv", "image,label", rows)


def archives(draw: Draw) -> None:
    """The images are still in their archive."""
    draw.file("train.zip", b"PK\x03\x04")
    draw.table("train.csv", "image,label", [("1.png", "a"), ("2.png", "b")])


def latin1(draw: Draw) -> None:
    """A table saved by a spreadsheet with umlauts in one-byte letters."""
    lines = ["image;label"]
    for i in range(12):
        label = ("gutartig", "bösartig")[i % 2]
        draw.image(f"images/p{i}.png", label)
        lines.append(f"p{i}.png;{label}")
    draw.file("labels.csv", "\r\n".join(lines).encode("latin-1"))


def mixed_labels(draw: Draw) -> None:
    """A class folder within a class folder: images of some classes lie a level deeper."""
    draw.fill("normal", "normal", views={"top": "normal"})
    for kind in ("adenoma", "carcinoma"):
        draw.fill(f"abnormal/{kind}", kind, each=4, views={"top": "abnormal"})


def two_suffixes(draw: Draw) -> None:
    """DICOM files of the images that lie beside them as PNG."""
    for label in AB:
        for i in range(6):
            draw.image(f"{label}/{i}.png", label)
            draw.note(draw.dicom(f"{label}/{i}.dcm"), label, read="free")


def array_files(draw: Draw) -> None:
    """One class is stored as arrays."""
    draw.fill("healthy", "healthy")
    draw.fill("benign", "benign")
    for i in range(6):
        draw.file(f"tumour/{i}.npy", b"\x93NUMPY\x01\x00")
