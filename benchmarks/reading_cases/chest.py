"""Sets of chest X-rays and CT slices."""

from __future__ import annotations

import gzip

from .draw import Draw


def kermany(draw: Draw) -> None:
    """The archive holds the set a second time within itself, and what macOS leaves in archives."""
    for split, each in (("train", 6), ("val", 2), ("test", 4)):
        for label in ("NORMAL", "PNEUMONIA"):
            for i in range(1, each + 1):
                code = f"IM-{split}{i:04d}-0001" if label == "NORMAL" else f"person{split}{(i + 1) // 2}_bacteria_{i}"
                group = f"person{split}{(i + 1) // 2}" if label == "PNEUMONIA" else ""
                name = f"{split}/{label}/{code}.jpeg"
                first = draw.image(f"chest_xray/{name}", label, split, group)
                draw.copy(f"chest_xray/chest_xray/{name}", first)
                draw.file(f"chest_xray/__MACOSX/chest_xray/{split}/{label}/._{code}.jpeg", b"\x00\x05\x16\x07")


def nih(draw: Draw) -> None:
    """Twelve folders of images, two lists of splits, and a table of boxes beside the table of findings."""
    cells = ["No Finding", "Cardiomegaly", "Cardiomegaly|Emphysema", "Hernia", "Effusion|Infiltration"]
    rows, lists = [], {"train_val": "", "test": ""}
    for i in range(30):
        name, cell, patient = f"{i // 3 + 1:08d}_{i % 3:03d}.png", cells[i % 5], i // 3 + 1
        test = i >= 21
        found = [] if cell == "No Finding" else cell.split("|")
        draw.image(
            f"images_{1 + i // 10:03d}/images/{name}", cell.split("|"), "test" if test else "train", patient, none=found
        )
        lists["test" if test else "train_val"] += f"{name}\n"
        rows.append((name, cell, i % 3, patient, 58, "M", "PA", 2682, 2749, 0.143, 0.143, ""))
    head = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
    draw.table("Data_Entry_2017.csv", head + ",OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],", rows)
    boxes = [("00000001_000.png", "Atelectasis", 225.0, 547.0, 86.7, 79.1, "", "", "")]
    draw.table("BBox_List_2017.csv", "Image Index,Finding Label,Bbox [x,y,w,h],,,", boxes)
    for name, text in lists.items():
        draw.file(f"{name}_list.txt", text)


def chexpert(draw: Draw) -> None:
    """Two tables, train and valid, whose paths begin with the name of the folder that they lie in."""
    top = "CheXpert-v1.0-small"
    head = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema,Fracture"
    for split, each in (("train", 20), ("valid", 6)):
        rows = []
        for i in range(each):
            patient = f"patient{i // 2 + 1 + 64000 * (split == 'valid'):05d}"
            name = f"{top}/{split}/{patient}/study{i % 2 + 1}/view1_frontal.jpg"
            bits = [int(i % 3 == 0), int(i % 3 == 1), int(i % 4 == 1)]
            found = [n for n, b in zip(("No Finding", "Edema", "Fracture"), bits, strict=True) if b]
            draw.image(name, found, "val" if split == "valid" else "train", patient)
            cells = ["1.0" if b else "" if split == "train" else "0.0" for b in bits]
            rows.append((name, "Female", 68, "Frontal", "AP", *cells))
        draw.table(f"{top}/{split}.csv", head, rows)


def mimic(draw: Draw) -> None:
    """Compressed tables; labels by study, splits by image."""
    rows, splits = [], []
    for i in range(18):
        subject, study, dicom = f"100000{i // 3:02d}", f"s5041426{i // 3}", f"02aa804e-bde0afdd-{i:08x}"
        draw.image(f"files/p{10 + i // 9}/p{subject}/{study}/{dicom}.jpg", group=subject)
        rows.append((subject, study[1:], "1.0" if i % 2 else "", "-1.0" if i % 5 == 0 else "0.0"))
        splits.append((dicom, study[1:], subject, ("train", "validate", "test")[i // 6]))
    for name, head, cells in (
        ("chexpert", "subject_id,study_id,Edema,Pneumonia", rows),
        ("split", "dicom_id,study_id,subject_id,split", splits),
    ):
        lines = [head, *(",".join(map(str, row)) for row in cells)]
        draw.file(f"mimic-cxr-2.0.0-{name}.csv.gz", gzip.compress("\n".join(lines).encode(), mtime=0))


def vinbigdata(draw: Draw) -> None:
    """A row for each box that each of three readers drew; readers disagree on every third image."""
    rows = []
    for i in range(12):
        name = f"{i * 7919:032x}"
        draw.image(f"train/{name}.png", "?")
        for reader in (8, 9, 10):
            label, code = ("No finding", 14) if i % 2 and not (reader == 10 and i % 3 == 0) else ("Cardiomegaly", 3)
            box = ("", "", "", "") if code == 14 else (691, 1375, 1653, 1831)
            rows += [(name, label, code, f"R{reader}", *box)] * (1 + (code == 3))
    draw.table("train.csv", "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max", rows)


def vindr_cxr(draw: Draw) -> None:
    """Three rows an image, a reader each, who do not agree; DICOM files that end in .dicom."""
    rows = []
    for i in range(9):
        name = f"{i * 104729:032x}"
        draw.note(draw.dicom(f"train/{name}.dicom"), "?")
        for reader in (1, 2, 3):
            finding = int(i % 2 == 0 or (reader == 1 and i % 3 == 0))
            rows.append((name, f"R{reader}", finding, 0, 1 - finding))
    draw.table("annotations/image_labels_train.csv", "image_id,rad_id,Cardiomegaly,Pneumothorax,No finding", rows)


def rsna_pneumonia(draw: Draw) -> None:
    """patientId names the image; a row a box; columns called x and y."""
    rows, kinds = [], []
    for i in range(16):
        name, target = f"{i * 7919:08x}-8834-41fe", i % 2
        draw.note(draw.dicom(f"stage_2_train_images/{name}.dcm"), str(target))
        boxes = [(264.0 + k, 152.0, 213.0, 379.0) for k in range(2)] if target else [("", "", "", "")]
        rows += [(name, *box, target) for box in boxes]
        kinds += [(name, "Lung Opacity" if target else "Normal") for _ in boxes]
    draw.table("stage_2_train_labels.csv", "patientId,x,y,width,height,Target", rows)
    draw.table("stage_2_detailed_class_info.csv", "patientId,class", kinds)


def siim_acr(draw: Draw) -> None:
    """Masks as text in the cells, -1 for none, several rows an image; a folder a UID."""
    rows = []
    for i in range(12):
        uid = f"1.2.276.0.7230010.3.1.4.8323329.{1000 + i}"
        draw.note(draw.dicom(f"dicom-images-train/{uid}/{uid}/{uid}.dcm"))
        masks = ["-1"] if i % 2 else [f"{387620 + 31 * i + k} 23 996 33 986 43" for k in range(1 + i % 4 // 2)]
        rows += [(uid, f" {mask}") for mask in masks]
    draw.table("train-rle.csv", "ImageId, EncodedPixels", rows)


def covidx(draw: Draw) -> None:
    """Text files parted by blanks, with no header: patient, file, class, source."""
    for split, each in (("train", 18), ("test", 6)):
        lines = []
        for i in range(each):
            label, patient = ["normal", "pneumonia", "COVID-19"][i % 3], f"{split}{i // 3}"
            draw.image(f"{split}/{split}-{i}.png", label, split, patient)
            lines.append(f"{patient} {split}-{i}.png {label} cohen\n")
        draw.file(f"{split}_COVIDx9A.txt", "".join(lines))


def radiography(draw: Draw) -> None:
    """Images and masks of the same names, in two folders of each class."""
    for label in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"):
        for i in range(1, 7):
            draw.image(f"COVID-19_Radiography_Dataset/{label}/images/{label}-{i}.png", label)
            draw.aside(f"COVID-19_Radiography_Dataset/{label}/masks/{label}-{i}.png")
        draw.sheet(f"COVID-19_Radiography_Dataset/{label}.metadata.xlsx", "FILE NAME,FORMAT", [(f"{label}-1", "PNG")])
    draw.file("COVID-19_Radiography_Dataset/README.md.txt", "COVID-19 CHEST X-RAY DATABASE\n")


def montgomery(draw: Draw) -> None:
    """The label is the last digit of the file name; masks bear the names of the images."""
    for i in range(1, 19):
        name = f"MCUCXR_{i:04d}_{i % 2}.png"
        draw.image(f"MontgomerySet/CXR_png/{name}")
        for side in ("leftMask", "rightMask"):
            draw.aside(f"MontgomerySet/ManualMask/{side}/{name}")
        draw.file(f"MontgomerySet/ClinicalReadings/{name[:-4]}.txt", "Patient's Sex: F\nnormal\n")


def covid_ct(draw: Draw) -> None:
    """The publisher's splits are six text files."""
    for label in ("COVID", "NonCOVID"):
        lists: dict[str, str] = {"train": "", "val": "", "test": ""}
        for i in range(12):
            split = ("train", "train", "val", "test")[i % 4]
            draw.image(f"Images-processed/CT_{label}/{label}-{i}.png", f"CT_{label}", split)
            lists[split] += f"{label}-{i}.png\n"
        for split, text in lists.items():
            draw.file(f"Data-split/{label}/{split}CT_{label}.txt", text)


def chest_ct(draw: Draw) -> None:
    """The classes are named otherwise in test than in train and valid."""
    stage = {
        "adenocarcinoma": "adenocarcinoma_left.lower.lobe_T2_N0_M0_Ib",
        "large.cell.carcinoma": "large.cell.carcinoma_left.hilum_T2_N2_M0_IIIa",
        "normal": "normal",
        "squamous.cell.carcinoma": "squamous.cell.carcinoma_left.hilum_T1_N2_M0_IIIa",
    }
    for folder, split, each in (("train", "train", 5), ("valid", "val", 2), ("test", "test", 3)):
        for label, long in stage.items():
            name = label if split == "test" else long
            draw.fill(f"Data/{folder}/{name}", label, split, each, name="{i:06d}.png", views={"apart": name})
