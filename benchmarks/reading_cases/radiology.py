"""Sets of bones, brains, breasts, ultrasound and endoscopy."""

from __future__ import annotations

from .draw import Draw


def mura(draw: Draw) -> None:
    """The label is the end of the study's folder; the first folder below the split is a part of the body."""
    for folder, split, patients in (("train", "train", 8), ("valid", "val", 3)):
        studies: list[tuple[str, int]] = []
        images: list[tuple[str]] = []
        for part in ("XR_ELBOW", "XR_WRIST"):
            for p in range(patients):
                patient = f"patient{p + 1 + 11000 * (split == 'val'):05d}"
                label = ("negative", "positive")[p % 2]
                study = f"MURA-v1.1/{folder}/{part}/{patient}/study1_{label}"
                studies.append((f"{study}/", p % 2))
                names = (f"{study}/image{i}.png" for i in (1, 2))
                images.extend((draw.image(name, label, split, patient, part=part),) for name in names)
        draw.table(f"MURA-v1.1/{folder}_labeled_studies.csv", "", studies)
        draw.table(f"MURA-v1.1/{folder}_image_paths.csv", "", images)


def bone_age(draw: Draw) -> None:
    """The label is a number of months, not a class."""
    rows = []
    for i in range(24):
        draw.image(f"boneage-training-dataset/boneage-training-dataset/{1377 + i}.png", str(12 + 7 * i))
        rows.append((1377 + i, 12 + 7 * i, i % 2 == 0))
    draw.table("boneage-training-dataset.csv", "id,boneage,male", rows)


def knee(draw: Draw) -> None:
    """Grades as folder names, and a further set, auto_test, beside the three; both knees of a patient."""
    for folder, split, each in (("train", "train", 6), ("val", "val", 2), ("test", "test", 2), ("auto_test", "", 2)):
        for grade in "01234":
            for i in range(each):
                patient = f"9{len(folder)}{grade}{i // 2:03d}"
                name = draw.image(f"{folder}/{grade}/{patient}{'LR'[i % 2]}.png", grade, split, patient)
                if not split:
                    draw.note(name, grade, "test", patient, read="free")


def br35h(draw: Draw) -> None:
    """Images to be answered in a folder beside the classes, and a copy for another task with splits of its own."""
    for label in ("no", "yes"):
        for i in range(10):
            first = draw.image(f"{label}/{label[0]}{i}.jpg", label)
            if label == "yes":
                draw.copy(f"Br35H-Mask-RCNN/{('TRAIN', 'VAL', 'TEST')[i % 3]}/y{i}.jpg", first)
    for i in range(4):
        draw.free(f"pred/pred{i}.jpg")
    draw.file("Br35H-Mask-RCNN/annotations_all.json", "{}")


def brain_mri(draw: Draw) -> None:
    """The archive that Kaggle unpacks holds the classes twice: in the root and one level down."""
    for label in ("no", "yes"):
        for i in range(8):
            draw.copy(
                f"brain_tumor_dataset/{label}/{label[0].upper()}{i}.jpg",
                draw.image(f"{label}/{label[0].upper()}{i}.jpg", label),
            )


def nickparvar(draw: Draw) -> None:
    for folder, split, each in (("Training", "train", 6), ("Testing", "test", 3)):
        for label in ("glioma", "meningioma", "notumor", "pituitary"):
            draw.fill(f"{folder}/{label}", label, split, each, name=f"{folder[:2]}-{label[:2]}_{{i:04d}}.jpg")


def oasis(draw: Draw) -> None:
    """Slices: the person and the session begin the file name."""
    for label in ("Mild Dementia", "Non Demented", "Very mild Dementia"):
        for person in range(4):
            code = f"OAS1_{100 * len(label) + person:04d}"
            for piece in range(100, 103):
                draw.image(f"Data/{label}/{code}_MR1_mpr-1_{piece}.jpg", label, group=code)


def lidc(draw: Draw) -> None:
    """A folder a patient, a study, a series, as TCIA's downloader writes them; no labels among them."""
    for patient in range(1, 7):
        case = f"LIDC-IDRI-{patient:04d}"
        for i in (1, 2, 3):
            name = f"LIDC-IDRI/{case}/1.3.6.1.4.1.14519.5.2.1.{patient}/1.3.6.1.4.1.{patient}.1/1-{i:03d}.dcm"
            draw.note(draw.dicom(name, PatientID=case), group=case)
    draw.table(
        "metadata.csv",
        "Series UID,Collection,Subject ID,Modality,File Location",
        [(f"1.3.6.1.4.1.{p}.1", "LIDC-IDRI", f"LIDC-IDRI-{p:04d}", "CT", ".\\LIDC-IDRI") for p in range(1, 7)],
    )


def brats(draw: Draw) -> None:
    for i in range(1, 5):
        for sequence in ("flair", "t1", "seg"):
            draw.file(f"BraTS20_Training_{i:03d}/BraTS20_Training_{i:03d}_{sequence}.nii.gz", b"\x1f\x8b\x08\x00")
    draw.table("name_mapping.csv", "Grade,BraTS_2020_subject_ID", [("HGG", "BraTS20_Training_001")])


def cbis_ddsm(draw: Draw) -> None:
    """Folders that are UIDs; a table with three columns of paths, none of which is on the disk."""
    rows = []
    for i in range(12):
        uid = f"1.3.6.1.4.1.9590.100.1.2.{10000 + i}"
        draw.image(f"jpeg/{uid}/1-{100 + i:03d}.jpg")
        path = f"Mass-Training_P_{i:05d}_LEFT_CC/1.3.6.1/{uid}/000000.dcm"
        facts = (3, "LEFT", "CC", 1, "mass", "OVAL", "CIRCUMSCRIBED", 4, ["BENIGN", "MALIGNANT"][i % 2], 4)
        rows.append((f"P_{i:05d}", *facts, path, path, path))
    head = "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape"
    head += ",mass margins,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
    draw.table("csv/mass_case_description_train_set.csv", head, rows)


def inbreast(draw: Draw) -> None:
    """Semicolons; the column of file names holds the number that begins each name."""
    rows = []
    for i in range(12):
        number, birads = 20586908 + 26 * i, ["1", "2", "4a", "5"][i % 4]
        draw.note(draw.dicom(f"INbreast/AllDICOMs/{number}_6c613a14b80a8591_MG_R_CC_ANON.dcm"), birads)
        draw.file(f"INbreast/AllXML/{number}.xml", "<plist/>")
        rows.append(("removed", "removed", "R", "CC", 201001, number, 2, birads))
    head = "Patient ID,Patient age,Laterality,View,Acquisition date,File Name,ACR,Bi-Rads"
    draw.table("INbreast/INbreast.csv", head, rows, delimiter=";")


def vindr_mammo(draw: Draw) -> None:
    """Splits called training and test; four images a study, which is the patient."""
    rows = []
    for i in range(24):
        study, name = f"{i // 4 * 7919:032x}", f"{i * 104729 + 1:032x}"
        split, birads = ("training", "test")[i >= 16], f"BI-RADS {1 + i // 2 % 3}"
        draw.note(draw.dicom(f"images/{study}/{name}.dicom"), birads, ("train", "test")[i >= 16], study)
        density = f"DENSITY {'BCD'[i // 4 % 3]}"
        rows.append((study, f"s{i}", name, "LR"[i % 2], "CC", 3518, 2800, birads, density, split))
    head = "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split"
    draw.table("breast-level_annotations.csv", head, rows)


def rsna_breast(draw: Draw) -> None:
    """One label among several 0/1 columns that say other things of the patient."""
    rows = []
    for i in range(24):
        patient, name, cancer = 10006 + i // 4, 462822612 + i, int(i // 4 % 3 == 0)
        draw.note(draw.dicom(f"train_images/{patient}/{name}.dcm"), str(cancer), group=patient)
        bits = (cancer, int(i // 4 % 2), cancer * (i // 8 % 2), "", 0, "")
        rows.append((2, patient, name, "LR"[i % 2], "CC", 61.0, *bits, 29, "False" if i % 3 else "True"))
    head = "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,density"
    draw.table("train.csv", head + ",machine_id,difficult_negative_case", rows)


def bus_bra(draw: Draw) -> None:
    """Masks of other names in a folder beside the images, and two tables of folds beside the table of labels."""
    rows = []
    for i in range(1, 25):
        name, case, label = f"bus_{(i + 1) // 2:04d}-{'lr'[i % 2]}", (i + 1) // 2, ["benign", "malignant"][i // 2 % 2]
        draw.image(f"BUSBRA/Images/{name}.png", label, group=case)
        draw.aside(f"BUSBRA/Masks/mask{name[3:]}.png")
        rows.append((name, case, "Fibroadenoma", label, 2 + i % 4, "GE Logiq 7", 381, 304, "right"))
    draw.table("BUSBRA/bus_data.csv", "ID,Case,Histology,Pathology,BIRADS,Device,Width,Height,Side", rows)
    for folds in (5, 10):
        cells = [(row[0], row[1], row[3], 1 + k % folds) for k, row in enumerate(rows)]
        draw.table(f"BUSBRA/{folds}-fold-cv.csv", "ID,Case,Pathology,kFold", cells)


def pocus(draw: Draw) -> None:
    """The folders are kinds of probe; the table has rows for videos too, 0/1 columns, one of no name."""
    names = {"Cov": "COVID-19", "Pneu": "Bacterial pneumonia", "Reg": "regular"}
    rows = []
    for probe in ("convex", "linear"):
        for i, code in enumerate(tuple(names) * 3):
            draw.image(f"data/pocus_images/{probe}/{code}_{probe}_{i}.jpg", names[code])
            bits = (int(i % 3 == 0), int(i % 2), "", "n/A")
            place = f"data/pocus_images/{probe}"
            rows.append(("20.04.20", place, f"{code}_{probe}_{i}", names[code], i % 4, "image", probe, *bits))
        draw.file(f"data/pocus_videos/{probe}/Cov-Atlas-{probe}.mp4", b"\x00\x00\x00\x18ftypmp42")
        videos = f"data/pocus_videos/{probe}"
        rows.append(("20.04.20", videos, f"Cov-Atlas-{probe}", "COVID-19", 2, "video", probe, 0, 1, "", "n/A"))
    head = "Date added,Current location,Filename,Label,Lung Severity Score,Type,Probe,Effusion,B-lines,,Fever"
    draw.table("data/dataset_metadata.csv", head, rows)


def hyper_kvasir(draw: Draw) -> None:
    """The class is the third folder; the table names images without their suffix."""
    rows = []
    tree: dict[str, dict[str, tuple[str, ...]]] = {
        "lower-gi-tract": {"anatomical-landmarks": ("cecum", "ileum"), "pathological-findings": ("polyps",)},
        "upper-gi-tract": {"anatomical-landmarks": ("pylorus", "z-line")},
    }
    for tract, groups in tree.items():
        for group, findings in groups.items():
            for finding in findings:
                for i in range(5):
                    name = f"{finding}-{i:08x}-4a2e"
                    draw.image(f"labeled-images/{tract}/{group}/{finding}/{name}.jpg", finding, tract=tract)
                    rows.append((name, tract.split("-")[0].capitalize() + " GI", finding, group))
    draw.table("labeled-images/image-labels.csv", "Video file,Organ,Finding,Classification", rows)


def kvasir_v2(draw: Draw) -> None:
    for label in ("dyed-lifted-polyps", "esophagitis", "normal-cecum", "ulcerative-colitis"):
        draw.fill(f"kvasir-dataset-v2/{label}", label, name=f"{label[:2]}{{i:06d}}.jpg")


def kvasir_seg(draw: Draw) -> None:
    """Images and masks of the same names, and no classes."""
    for i in range(12):
        draw.image(f"Kvasir-SEG/images/cju0qkwl35piu{i:04d}.jpg")
        draw.aside(f"Kvasir-SEG/masks/cju0qkwl35piu{i:04d}.jpg")
    draw.file("Kvasir-SEG/kavsir_bboxes.json", "{}")
