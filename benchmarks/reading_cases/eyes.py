"""Sets of fundus and OCT images."""

from __future__ import annotations

from .draw import Draw


def aptos(draw: Draw) -> None:
    train = [(f"{i * 7919:012x}", i % 5) for i in range(1, 21)]
    test = [(f"{i * 104729:012x}",) for i in range(1, 6)]
    for name, grade in train:
        draw.image(f"train_images/{name}.png", str(grade))
    for (name,) in test:
        draw.free(f"test_images/{name}.png")
    draw.table("train.csv", "id_code,diagnosis", train)
    draw.table("test.csv", "id_code", test)
    draw.table("sample_submission.csv", "id_code,diagnosis", [(name, 0) for (name,) in test])


def eyepacs(draw: Draw) -> None:
    """Two eyes of a patient share the number that begins their names."""
    rows = []
    for i in range(24):
        name = f"{10 + i // 2}_{('left', 'right')[i % 2]}"
        draw.image(f"train/{name}.jpeg", str(i // 2 % 4), "train", 10 + i // 2)
        rows.append((name, i // 2 % 4))
    draw.table("trainLabels.csv", "image,level", rows)


def eyepacs_cropped(draw: Draw) -> None:
    """The columns that pandas adds to a table saved twice."""
    rows = []
    for i in range(16):
        draw.image(f"resized_train_cropped/{10 + i}_left.jpeg", str(i % 4))
        rows.append((i, i, f"{10 + i}_left", i % 4))
    draw.table("trainLabels_cropped.csv", "Unnamed: 0,Unnamed: 0.1,image,level", rows)


def messidor2(draw: Draw) -> None:
    """One table of grades, one that pairs the eyes with semicolons."""
    rows, pairs = [], []
    for i in range(20):
        name = f"20051020_{43808 + i}_0100_PP.png"
        draw.image(f"IMAGES/{name}", str(i % 4), group=f"examination {i // 2}")
        rows.append((name, i % 4, i % 2, 1))
        pairs += [(f"20051020_{43808 + i}_0100_PP.png", f"20051020_{43809 + i}_0100_PP.png")] if i % 2 == 0 else []
    draw.table("messidor_data.csv", "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable", rows)
    draw.table("messidor-2.csv", "left,right", pairs, delimiter=";")


def idrid(draw: Draw) -> None:
    """The same names in both sets, a table each, and empty columns at the end of one."""
    top = "B. Disease Grading"
    head = "Image name,Retinopathy grade,Risk of macular edema "
    for split, folder, each in (("train", "a. Training Set", 16), ("test", "b. Testing Set", 8)):
        rows = []
        for i in range(1, each + 1):
            name = f"IDRiD_{i:03d}"
            draw.image(f"{top}/1. Original Images/{folder}/{name}.jpg", str(i % 5), split, edema=str(i % 3))
            rows.append((name, i % 5, i % 3, *([""] * 3 if split == "train" else [])))
        table = f"{top}/2. Groundtruths/{folder[0]}. IDRiD_Disease Grading_{folder.split()[1]} Labels.csv"
        draw.table(table, head + (",,," if split == "train" else ""), rows)


def odir(draw: Draw) -> None:
    """Per-eye labels as a list in a cell; the eight 0/1 columns are of the patient."""
    rows = []
    for i in range(24):
        side, letter = ("left", "right")[i % 2], "NDGC"[i % 4]
        eye = f"{i // 2}_{side}.jpg"
        draw.image(f"preprocessed_images/{eye}", letter, group=i // 2)
        both = {"NDGC"[(i // 2 * 2 + k) % 4] for k in (0, 1)}
        bits = [int(letter in both) for letter in "NDGCAHMO"]
        target = "[" + ", ".join("1" if c == letter else "0" for c in "NDGCAHMO") + "]"
        names = (f"{i // 2}_left.jpg", f"{i // 2}_right.jpg")
        rows.append(
            (
                i // 2,
                69,
                "Female",
                *names,
                "cataract",
                "normal fundus",
                *bits,
                f"../input/{eye}",
                f"['{letter}']",
                target,
                eye,
            )
        )
    head = "ID,Patient Age,Patient Sex,Left-Fundus,Right-Fundus,Left-Diagnostic Keywords,Right-Diagnostic Keywords"
    draw.table("full_df.csv", head + ",N,D,G,C,A,H,M,O,filepath,labels,target,filename", rows)


def odir_sheet(draw: Draw) -> None:
    for i in range(10):
        for side in ("left", "right"):
            draw.image(f"ODIR-5K_Training_Dataset/{i}_{side}.jpg", group=i)
    draw.sheet("ODIR-5K_Training_Annotations(Updated)_V2.xlsx", "ID,N,D", [(i, 1, 0) for i in range(10)])


def rfmid(draw: Draw) -> None:
    """Each set counts its images from 1; Disease_Risk says whether any of the others is 1."""
    head = "ID,Disease_Risk,DR,ARMD,MH"
    for split, outer, inner, each in (
        ("train", "Training_Set", "Training", 16),
        ("val", "Evaluation_Set", "Validation", 8),
        ("test", "Test_Set", "Test", 8),
    ):
        rows = []
        for i in range(1, each + 1):
            bits = [int(i % 4 == 1), int(i % 4 == 2 or i % 8 == 1), int(i % 4 == 3)]
            found = [name for name, bit in zip(("DR", "ARMD", "MH"), bits, strict=True) if bit]
            risk = ["Disease_Risk"] if found else []
            draw.image(f"{outer}/{inner}/{i}.png", found, split, risk=[*risk, *found])
            rows.append((i, int(bool(found)), *bits))
        table = "Testing" if split == "test" else inner
        draw.table(f"{outer}/RFMiD_{table}_Labels.csv", head, rows)


def brset(draw: Draw) -> None:
    rows = []
    for i in range(1, 25):
        bits = [int(i % 3 == 0), int(i % 4 == 0), int(i % 5 == 0)]
        findings = ("diabetic_retinopathy", "macular_edema", "drusens")
        found = [name for name, bit in zip(findings, bits, strict=True) if bit]
        draw.image(f"fundus_photos/img{i:05d}.jpg", found, group=(i + 1) // 2)
        person = (f"img{i:05d}", "Canon CR", (i + 1) // 2, 48.0, "diabetes1", "no", 1 + i % 2, 1 + i % 2, "Brazil")
        rows.append((*person, 1 + i % 2, 2 * (i % 3), *bits, "Adequate"))
    head = "image_id,camera,patient_id,patient_age,comorbidities,insuline,patient_sex,exam_eye,nationality,optic_disc"
    draw.table("labels_brset.csv", head + ",DR_ICDR,diabetic_retinopathy,macular_edema,drusens,quality", rows)


def papila(draw: Draw) -> None:
    for i in range(2, 14):
        for side in ("OD", "OS"):
            draw.image(f"FundusImages/RET{i:03d}{side}.jpg", group=i)
            draw.file(f"ExpertsSegmentations/Contours/RET{i:03d}{side}_cup_exp1.txt", "1.0 2.0\n")
    for side in ("od", "os"):
        draw.sheet(f"ClinicalData/patient_data_{side}.xlsx", "ID,Age,Gender,Diagnosis", [(2, 47, 0, 2)])


def refuge(draw: Draw) -> None:
    """Class folders for the training images alone, and masks in folders of the same names."""
    for label, code in (("Glaucoma", "g"), ("Non-Glaucoma", "n")):
        for i in range(1, 9):
            draw.image(f"Training400/{label}/{code}{i:04d}.jpg", label, "train")
            draw.aside(f"Annotation-Training400/Disc_Cup_Masks/{label}/{code}{i:04d}.bmp")
    for i in range(1, 5):
        draw.free(f"REFUGE-Validation400/V{i:04d}.jpg")
        draw.aside(f"REFUGE-Validation400-GT/Disc_Cup_Masks/V{i:04d}.bmp")


def oct2017(draw: Draw) -> None:
    """A folder whose name ends in a blank; the patient is the number in the file name."""
    for split, each in (("train", 6), ("val", 2), ("test", 2)):
        for label in ("CNV", "DME", "DRUSEN", "NORMAL"):
            for i in range(each):
                number = 100 * "CNV DME DRUSEN NORMAL".index(label) + 10 * "train val test".index(split) + i // 2
                patient = f"{label}-{number}"
                draw.image(f"OCT2017 /{split}/{label}/{patient}-{i % 2 + 1}.jpeg", label, split, patient)
    draw.file("OCT2017 /.DS_Store", b"\x00\x00\x00\x01Bud1")


def deepdrid(draw: Draw) -> None:
    """The grade of an image lies in one of two columns, by its eye; paths are Windows's and lack a folder."""
    rows = []
    for i in range(1, 25):
        patient, eye = (i + 3) // 4, "llrr"[i % 4]
        name, grade = f"{patient}_{eye}{i % 2 + 1}", patient % 5
        draw.image(f"regular-fundus-training/Images/{patient}/{name}.jpg", str(grade), "train", patient)
        grades = (grade, "") if eye == "l" else ("", grade)
        rows.append((patient, name, f"\\regular-fundus-training\\{patient}\\{name}.jpg", 0, *grades, grade, 8, 8, 4))
    head = "patient_id,image_id,image_path,Overall quality,left_eye_DR_Level,right_eye_DR_Level,patient_DR_Level"
    table = "regular-fundus-training/regular-fundus-training.csv"
    draw.table(table, head + ",Clarity,Field definition,Artifact", rows)
