"""Sets of tissue and cells under the microscope."""

from __future__ import annotations

from .draw import Draw


def breakhis(draw: Draw) -> None:
    """Two classes or eight, by the level of the folders; a patient's folder below, then a magnification's."""
    kinds = {"benign": {"adenosis": "A", "fibroadenoma": "F"}, "malignant": {"ductal_carcinoma": "DC"}}
    for label, types in kinds.items():
        for kind, code in types.items():
            first = 22549 + 10 * ("A", "F", "DC").index(code)
            for patient in range(first, first + 3):
                case = f"SOB_{label[0].upper()}_{code}_14-{patient}AB"
                for zoom in (40, 100):
                    folder = f"BreaKHis_v1/histology_slides/breast/{label}/SOB/{kind}/{case}/{zoom}X"
                    name = f"{case.replace('_14', '-14')}-{zoom}-001.png"
                    draw.image(f"{folder}/{name}", label, group=case, kind=kind)
    draw.file("BreaKHis_v1/histology_slides/breast/README.txt", "BreaKHis\n")


def bach(draw: Draw) -> None:
    """Photos in class folders, with a table without header; whole slides beside them that are not read."""
    rows = []
    for label, code in (("Benign", "b"), ("InSitu", "is"), ("Invasive", "iv"), ("Normal", "n")):
        for i in range(1, 7):
            draw.image(f"ICIAR2018_BACH_Challenge/Photos/{label}/{code}{i:03d}.tif", label)
            rows.append((f"{code}{i:03d}.tif", label))
    draw.table("ICIAR2018_BACH_Challenge/Photos/microscopy_ground_truth.csv", "", rows)
    draw.file("ICIAR2018_BACH_Challenge/Photos/Normal/Thumbs.db", b"\xd0\xcf\x11\xe0")
    for i in range(1, 4):
        draw.file(f"ICIAR2018_BACH_Challenge/WSI/A{i:02d}.svs", b"II*\x00")
        draw.aside(f"ICIAR2018_BACH_Challenge/WSI/gt_thumbnails/A{i:02d}.png")


def lc25000(draw: Draw) -> None:
    for organ, classes in (("colon", ("colon_aca", "colon_n")), ("lung", ("lung_aca", "lung_n", "lung_scc"))):
        for label in classes:
            folder = f"lung_colon_image_set/{organ}_image_sets/{label}"
            draw.fill(folder, label, name="image{i}.jpeg", views={"organ": f"{organ}_image_sets"})


def nct_crc(draw: Draw) -> None:
    """Two archives unpacked side by side, the second of them the validation set."""
    for folder, split, each in (("NCT-CRC-HE-100K", "train", 6), ("CRC-VAL-HE-7K", "val", 3)):
        for label in ("ADI", "LYM", "TUM"):
            draw.fill(f"{folder}/{label}", label, split, each, name=f"{label}-{folder[0]}{{i}}.tif")


def kather2016(draw: Draw) -> None:
    for label in ("01_TUMOR", "02_STROMA", "03_COMPLEX", "08_EMPTY"):
        draw.fill(f"Kather_texture_2016_image_tiles_5000/{label}", label, name="10009_CRC_{i}.tif_Row_1_Col_1.tif")
    for i in range(4):
        draw.aside(f"Kather_texture_2016_larger_images_10/CRC-Prim-HE-{i:02d}_APPLICATION.tif", grey=False)


def patch_camelyon(draw: Draw) -> None:
    train = [(f"{i * 7919:040x}", i % 2) for i in range(20)]
    test = [f"{i * 104729:040x}" for i in range(1, 6)]
    for name, label in train:
        draw.image(f"train/{name}.tif", str(label), "train")
    for name in test:
        draw.free(f"test/{name}.tif", "test")
    draw.table("train_labels.csv", "id,label", train)
    draw.table("sample_submission.csv", "id,label", [(name, 0) for name in test])


def camelyon17(draw: Draw) -> None:
    """No column holds the file's name: it is made of four columns."""
    rows = []
    for i in range(24):
        patient, tumor = f"{4 + i // 6:03d}", i % 2
        name = f"patch_patient_{patient}_node_4_x_{96 * i}_y_0.png"
        draw.image(f"patches/patient_{patient}_node_4/{name}", str(tumor), group=patient)
        rows.append((i, patient, 4, 96 * i, 0, tumor, i // 6, i // 12, i % 2))
    draw.table("metadata.csv", ",patient,node,x_coord,y_coord,tumor,slide,center,split", rows)


def breast_idc(draw: Draw) -> None:
    """A folder a patient, the classes within; and the whole a second time within itself."""
    for patient in (8863, 8864, 8865, 9036, 9073):
        for label in "01":
            for i in range(3):
                name = f"{patient}/{label}/{patient}_idx5_x{50 * i + 1}_y1001_class{label}.png"
                draw.copy(f"IDC_regular_ps50_idx5/{name}", draw.image(name, label, group=patient))


def mhist(draw: Draw) -> None:
    rows = []
    for i in range(24):
        name, votes = f"MHIST_{i:03x}.png", (0, 2, 5, 7)[i % 4]
        label, split = "SSA" if votes > 3 else "HP", "test" if i >= 16 else "train"
        draw.image(f"images/{name}", label, split)
        rows.append((name, label, votes, split))
    head = "Image Name,Majority Vote Label,Number of Annotators who Selected SSA (Out of 7),Partition"
    draw.table("annotations.csv", head, rows)


def panda(draw: Draw) -> None:
    """A grade, a score that says the same in words, and who sent the slide."""
    rows = []
    for i in range(20):
        name, grade = f"{i * 7919:032x}", i % 5
        score = ["negative", "3+3", "3+4", "4+3", "4+4"][grade]
        draw.image(f"train_images/{name}.tiff", str(grade), score=score)
        draw.aside(f"train_label_masks/{name}_mask.tiff")
        rows.append((name, ("karolinska", "radboud")[i % 2], grade, score))
    draw.table("train.csv", "image_id,data_provider,isup_grade,gleason_score", rows)


def c_nmc(draw: Draw) -> None:
    """Three folds with the classes within; the patient is in the file name."""
    for fold in range(3):
        for label, code in (("all", ""), ("hem", "H")):
            for i in range(4):
                patient = f"UID_{code}{10 * fold + 1 + i // 2}"
                name = f"{patient}_{i + 1}_1_{label}.bmp"
                draw.image(f"C-NMC_training_data/fold_{fold}/{label}/{name}", label, group=patient)


def all_idb(draw: Draw) -> None:
    """The label is the last digit of the file name; the folders are two versions of the set."""
    for folder, suffix in (("ALL_IDB1/im", "jpg"), ("ALL_IDB2/img", "tif")):
        for i in range(1, 11):
            draw.image(f"{folder}/Im{i:03d}_{i % 2}.{suffix}")
    for i in range(1, 11):
        draw.file(f"ALL_IDB1/xyc/Im{i:03d}_{i % 2}.xyc", "1207 890\n")


def bccd(draw: Draw) -> None:
    """A third folder of test images beside TRAIN and TEST."""
    for folder, split, each in (("TRAIN", "train", 6), ("TEST", "test", 3), ("TEST_SIMPLE", "", 2)):
        for label in ("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL"):
            for i in range(each):
                name = f"dataset2-master/dataset2-master/images/{folder}/{label}/_{i}_{207 + len(folder)}.jpeg"
                read = "yes" if split else "free"
                draw.note(draw.image(name), label, split or "test", read=read)
    draw.table("dataset2-master/dataset2-master/labels.csv", ",Image,Category", [(0, 0, "NEUTROPHIL"), (1, 1, "")])


def malaria(draw: Draw) -> None:
    """The archive holds the set a second time within itself."""
    for label in ("Parasitized", "Uninfected"):
        for i in range(8):
            patient = f"C{33 + i // 2}P1ThinF" if label == "Parasitized" else f"C{1 + i // 2}_thinF"
            name = f"{label}/{patient}_IMG_20150619_cell_{i}.png"
            first = draw.image(f"cell_images/{name}", label, group=patient)
            draw.copy(f"cell_images/cell_images/{name}", first)
        draw.file(f"cell_images/{label}/Thumbs.db", b"\xd0\xcf\x11\xe0")


def herlev(draw: Draw) -> None:
    """A mask beside each image: the same name and -d."""
    for label in ("carcinoma_in_situ", "normal_columnar", "severe_dysplastic"):
        for i in range(1, 7):
            stem = f"smear2005/New database pictures/{label}/149143370-14914337{label[0]}-{i:03d}"
            draw.image(f"{stem}.BMP", label)
            draw.aside(f"{stem}-d.bmp", grey=False)
    draw.sheet("smear2005/New database pictures/new_database_results.xls", "ID,Kerne_A", [("149143370", 1)])


def sipakmed(draw: Draw) -> None:
    """Slides and the cells cut out of them, in folders named twice after the class."""
    for label in ("im_Dyskeratotic", "im_Koilocytotic", "im_Metaplastic", "im_Parabasal"):
        for i in range(1, 4):
            draw.image(f"{label}/{label}/{i:03d}.bmp", label, group=f"{label}{i}")
            draw.file(f"{label}/{label}/{i:03d}_cyt01.dat", "1,2\n")
            for k in (1, 2):
                draw.image(f"{label}/{label}/CROPPED/{i:03d}_{k:02d}.bmp", label, group=f"{label}{i}")
