"""Sets of skin images."""

from __future__ import annotations

from .draw import Draw


def isic2016(draw: Draw) -> None:
    """No header in the table, and test images whose labels lie in a table of their own."""
    labels = ["benign", "benign", "malignant"]
    for i in range(12):
        draw.image(f"ISBI2016_ISIC_Part3_Training_Data/ISIC_{i:07d}.jpg", labels[i % 3])
    for i in range(12, 18):
        draw.free(f"ISBI2016_ISIC_Part3_Test_Data/ISIC_{i:07d}.jpg")
    train = [(f"ISIC_{i:07d}", labels[i % 3]) for i in range(12)]
    draw.table("ISBI2016_ISIC_Part3_Training_GroundTruth.csv", "", train)
    test = [(f"ISIC_{i:07d}", float(i % 3 == 2)) for i in range(12, 18)]
    draw.table("ISBI2016_ISIC_Part3_Test_GroundTruth.csv", "", test)


def isic2017(draw: Draw) -> None:
    """Superpixels beside the images; two 0/1 columns of which a nevus has neither."""
    rows = []
    for i in range(18):
        positive = [[], ["melanoma"], ["seborrheic_keratosis"]][i % 3]
        draw.image(f"ISIC-2017_Training_Data/ISIC_{i:07d}.jpg", positive)
        draw.aside(f"ISIC-2017_Training_Data/ISIC_{i:07d}_superpixels.png")
        rows.append((f"ISIC_{i:07d}", float(i % 3 == 1), float(i % 3 == 2)))
    draw.table("ISIC-2017_Training_Part3_GroundTruth.csv", "image_id,melanoma,seborrheic_keratosis", rows)
    facts = [(row[0], 55, "female") for row in rows]
    draw.table("ISIC-2017_Training_Data/ISIC-2017_Training_Data_metadata.csv", "image_id,age_approximate,sex", facts)


def isic2018(draw: Draw) -> None:
    """The table lies in a folder of its own; validation images come without labels."""
    classes = ["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]
    rows = []
    for i in range(21):
        draw.image(f"ISIC2018_Task3_Training_Input/ISIC_{24306 + i:07d}.jpg", classes[i % 7])
        rows.append((f"ISIC_{24306 + i:07d}", *(float(i % 7 == c) for c in range(7))))
    for i in range(4):
        draw.free(f"ISIC2018_Task3_Validation_Input/ISIC_{34310 + i:07d}.jpg")
    for folder in ("Training_Input", "Validation_Input", "Training_GroundTruth"):
        draw.file(f"ISIC2018_Task3_{folder}/LICENSE.txt", "CC-BY-NC")
    table = "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv"
    draw.table(table, "image," + ",".join(classes), rows)


def isic2019(draw: Draw) -> None:
    classes = ["MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"]
    rows, facts = [], []
    for i in range(24):
        lesion = f"MSK4_{i // 3:07d}"
        draw.image(f"ISIC_2019_Training_Input/ISIC_{i:07d}.jpg", classes[i // 3], group=lesion)
        rows.append((f"ISIC_{i:07d}", *(float(i // 3 == c) for c in range(9))))
        facts.append((f"ISIC_{i:07d}", 55.0, "anterior torso", lesion, "female"))
    draw.table("ISIC_2019_Training_GroundTruth.csv", "image," + ",".join(classes), rows)
    head = "image,age_approx,anatom_site_general,lesion_id,sex"
    draw.table("ISIC_2019_Training_Metadata.csv", head, facts)


def isic2020(draw: Draw) -> None:
    """Three columns may be the label: diagnosis (mostly unknown), benign_malignant and target."""
    rows, tests = [], []
    for i in range(24):
        kind, patient = ["unknown", "nevus", "melanoma"][i // 2 % 3], f"IP_{7279968 + i // 2}"
        target, benign = str(int(kind == "melanoma")), "malignant" if kind == "melanoma" else "benign"
        known = [] if kind == "unknown" else kind
        name = f"ISIC_{2637011 + i}"
        draw.image(f"jpeg/train/{name}.jpg", target, "train", patient, kind=kind, known=known, benign=benign)
        rows.append((name, patient, "male", 45.0, "head/neck", kind, benign, target))
    for i in range(4):
        draw.free(f"jpeg/test/ISIC_{52212 + i:07d}.jpg")
        tests.append((f"ISIC_{52212 + i:07d}", f"IP_{i}", "female", 50.0, "lower extremity"))
    head = "image_name,patient_id,sex,age_approx,anatom_site_general_challenge"
    draw.table("train.csv", head + ",diagnosis,benign_malignant,target", rows)
    draw.table("test.csv", head, tests)
    draw.table("sample_submission.csv", "image_name,target", [(test[0], 0) for test in tests])


def ham10000_twice(draw: Draw) -> None:
    """The archive that Kaggle unpacks holds both parts twice, in capitals and small letters, and pixels as tables."""
    rows = []
    for i in range(24):
        label, lesion, name = ["nv", "mel", "bkl"][i // 2 % 3], f"HAM_{i // 2:07d}", f"ISIC_{24306 + i:07d}"
        part = f"images_part_{1 + i // 12}/{name}.jpg"
        draw.copy(f"ham10000_{part}", draw.image(f"HAM10000_{part}", label, group=lesion))
        rows.append((lesion, name, label, "histo", 50.0, "male", "back"))
    draw.table("HAM10000_metadata.csv", "lesion_id,image_id,dx,dx_type,age,sex,localization", rows)
    draw.table("hmnist_8_8_L.csv", "pixel0000,pixel0001,label", [(i, 9, i % 3) for i in range(24)])


def pad_ufes_20(draw: Draw) -> None:
    rows = []
    for i in range(24):
        name, label, patient = f"PAT_{i // 2}_{i // 2}_{i}.png", ["NEV", "BCC", "ACK"][i // 2 % 3], f"PAT_{i // 2}"
        draw.image(f"images/imgs_part_{1 + i // 8}/imgs_part_{1 + i // 8}/{name}", label, group=patient)
        flags = ["False" if i % 3 else "True", "" if i % 4 else "True", "UNK" if i % 5 else "True"]
        rows.append((patient, i // 2, *flags, 55, label, 6.0, name, "True"))
    draw.table("metadata.csv", "patient_id,lesion_id,smoke,drink,itch,age,diagnostic,diameter_1,img_id,biopsed", rows)


def fitzpatrick17k(draw: Draw) -> None:
    """A row for every image that was once on the web; some can no longer be fetched."""
    rows = []
    for i in range(24):
        name, label = f"{i * 977:032x}", ["psoriasis", "melanoma", "vitiligo"][i % 3]
        three = ["non-neoplastic", "malignant", "benign"][i % 3]
        if i % 8:
            draw.image(f"data/finalfitz17k/{name}.jpg", label, three=three)
        rows.append((name, 1 + i % 6, 1 + i % 6, label, three, three, "", f"http://atlas/{i}", f"{i}.jpg"))
    head = "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,three_partition_label"
    draw.table("fitzpatrick17k.csv", head + ",qc,url,url_alphanum", rows)


def ddi(draw: Draw) -> None:
    rows = []
    for i in range(18):
        kind, malignant = ["melanocytic-nevi", "melanoma", "seborrheic-keratosis"][i % 3], i % 3 == 1
        draw.image(f"{i + 1:06d}.png", str(malignant), disease=kind)
        rows.append((i, i + 1, f"{i + 1:06d}.png", [12, 34, 56][i // 3 % 3], malignant, kind))
    draw.table("ddi_metadata.csv", ",DDI_ID,DDI_file,skin_tone,malignant,disease", rows)


def derm7pt(draw: Draw) -> None:
    """Two images a row, splits as tables of row numbers."""
    rows = []
    for i in range(18):
        label, split = ["clark nevus", "melanoma"][i // 3 % 2], ["train", "val", "test"][i % 3]
        clinic, derm = f"Aal/Aal{i:03d}.jpg", f"Ael/Ael{i:03d}.jpg"
        draw.image(f"release_v0/images/{derm}", label, split, i)
        draw.note(draw.free(f"release_v0/images/{clinic}"), label, split, i, read="free")
        rows.append(
            (i + 1, label, i % 4, "absent", "low", "palpable", "back", "female", "excision", clinic, derm, i, "")
        )
    head = "case_num,diagnosis,seven_point_score,streaks,level_of_diagnostic_difficulty,elevation,location,sex"
    draw.table("release_v0/meta/meta.csv", head + ",management,clinic,derm,case_id,notes", rows)
    for k, split in enumerate(("train", "valid", "test")):
        draw.table(f"release_v0/meta/{split}_indexes.csv", "indexes", [(i,) for i in range(18) if i % 3 == k])


def ph2(draw: Draw) -> None:
    for i in range(2, 14):
        case = f"PH2Dataset/PH2 Dataset images/IMD{i:03d}"
        draw.image(f"{case}/IMD{i:03d}_Dermoscopic_Image/IMD{i:03d}.bmp")
        draw.aside(f"{case}/IMD{i:03d}_lesion/IMD{i:03d}_lesion.bmp")
        draw.aside(f"{case}/IMD{i:03d}_roi/IMD{i:03d}_R1_Label4.bmp")
    draw.sheet("PH2Dataset/PH2_dataset.xlsx", "Image Name,Melanoma", [("IMD002", "X")])
    draw.file("PH2Dataset/PH2_dataset.txt", "|| Name || Histological Diagnosis ||\n|| IMD002 || ||\n")


def monkeypox(draw: Draw) -> None:
    """The same images as they are, augmented, and in folds."""
    rows = []
    for label, code in (("Monkey Pox", "M"), ("Others", "NM")):
        short = label.replace(" ", "").capitalize()
        for i in range(1, 7):
            name = f"{code}{i:02d}_01"
            first = draw.image(f"Original Images/Original Images/{label}/{name}.jpg", short, whole=label)
            rows.append((name, short))
            draw.aside(f"Augmented Images/Augmented Images/{short}_augmented/{name}_00.jpg")
            for fold in (1, 2):
                split = ["Train", "Val", "Test"][(i + fold) % 3]
                draw.copy(f"Fold{fold}/Fold{fold}/Fold{fold}/{split}/{short}/{name}.jpg", first)
    draw.table("Monkeypox_Dataset_metadata.csv", "ImageID,Label", rows)


def dermnet(draw: Draw) -> None:
    for folder, split, each in (("train", "train", 6), ("test", "test", 3)):
        for label in ("Acne and Rosacea Photos", "Eczema Photos", "Warts Molluscum and other Viral Infections"):
            draw.fill(f"{folder}/{label}", label, split, each, name="07Acne081101-{i}.jpg")
