"""The files of public sets as their publishers ship them: a few empty images, the true names and table headers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cass_cli.data.sets.chest import OBSERVATIONS
from tests.data.files import touch, write

ISIC_2018 = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC"
ISIC_2019 = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK"
SHA = "0123456789abcdef0123456789abcdef0123456"  # 39 of 40 digits


def hot(header: str, image: str, column: str, *more: str) -> str:
    """Return the row of 0.0 and 1.0 that marks one column."""
    return ",".join([image, *("1.0" if c == column else "0.0" for c in header.split(",")[1:]), *more])


def isic2018(root: Path) -> None:
    folder = "ISIC2018_Task3_{}_{}"
    for split, numbers in {"Training": "123", "Validation": "4", "Test": "56"}.items():
        touch(root, *(f"{folder.format(split, 'Input')}/ISIC_000000{n}.jpg" for n in numbers))
        truth = folder.format(split, "GroundTruth")
        rows = [hot(ISIC_2018, f"ISIC_000000{n}", "NV" if n in "146" else "MEL") for n in numbers]
        write(root / truth / f"{truth}.csv", ISIC_2018, *rows)
    touch(root, "ISIC2018_Task3_Training_Input/ATTRIBUTION.txt", "ISIC2018_Task3_Training_Input/LICENSE.txt")
    write(
        root / "ISIC2018_Task3_Training_LesionGroupings.csv",
        "image,lesion_id,diagnosis_confirm_type",
        *(f"ISIC_000000{n},HAM_{n in '12'},histopathology" for n in "123"),
    )


def isic2019(root: Path) -> None:
    touch(root, *(f"ISIC_2019_Training_Input/ISIC_000000{n}.jpg" for n in "123"))
    touch(root, "ISIC_2019_Training_Input/ISIC_0000004_downsampled.jpg")
    touch(root, *(f"ISIC_2019_Test_Input/ISIC_003432{n}.jpg" for n in "12"))
    names = ["ISIC_0000001", "ISIC_0000002", "ISIC_0000003", "ISIC_0000004_downsampled"]
    kinds = ["NV", "NV", "NV", "MEL"]
    rows = [hot(ISIC_2019, name, kind) for name, kind in zip(names, kinds, strict=True)]
    write(root / "ISIC_2019_Training_GroundTruth.csv", ISIC_2019, *rows)
    write(
        root / "ISIC_2019_Training_Metadata.csv",
        "image,age_approx,anatom_site_general,lesion_id,sex",
        *(
            f"{name},55.0,anterior torso,{lesion},female"
            for name, lesion in zip(names, ("A", "B", "", "B"), strict=True)
        ),
    )
    header = f"{ISIC_2019},score_weight,validation_weight"
    test = [hot(ISIC_2019, "ISIC_0034321", "NV", "0.5", "0"), hot(ISIC_2019, "ISIC_0034322", "UNK", "0.5", "0")]
    write(root / "ISIC_2019_Test_GroundTruth.csv", header, *test)
    write(root / "ISIC_2019_Test_Metadata.csv", "image,age_approx,anatom_site_general,sex", "ISIC_0034321,5,,male")


def isic2020(root: Path) -> None:
    touch(root, *(f"train/ISIC_000000{n}.jpg" for n in "1234"), "ISIC_2020_Test_Input/ISIC_0052060.jpg")
    write(
        root / "ISIC_2020_Training_GroundTruth_v2.csv",
        "image_name,patient_id,lesion_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target",
        *(
            f"ISIC_000000{n},IP_{p},IL_{n},male,45.0,torso,{d},{b},{t}"
            for n, p, d, b, t in ((1, 1, "unknown", "benign", 0), (2, 2, "nevus", "benign", 0))
        ),
        "ISIC_0000003,IP_1,IL_3,female,50.0,head/neck,melanoma,malignant,1",
        "ISIC_0000004,IP_1,IL_1,male,45.0,torso,unknown,benign,0",
    )
    write(root / "ISIC_2020_Training_Duplicates.csv", "image_name_1,image_name_2", "ISIC_0000001,ISIC_0000004")
    write(
        root / "ISIC_2020_Test_Metadata.csv", "image,patient,sex,age_approx,anatom_site_general", "ISIC_0052060,IP,,,"
    )


HAM = "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset"


def ham10000(root: Path) -> None:
    touch(root, "HAM10000_images_part_1/ISIC_0024306.jpg", "HAM10000_images_part_1/ISIC_0024307.jpg")
    touch(root, "HAM10000_images_part_2/ISIC_0029306.jpg", "ISIC2018_Task3_Test_Images/ISIC_0034524.jpg")
    touch(root, "HAM10000_segmentations_lesion_tschandl/ISIC_0024306_segmentation.png")
    write(
        root / "HAM10000_metadata",  # without a suffix, as the Dataverse hands it out
        HAM,
        "HAM_0000550,ISIC_0024306,nv,follow_up,45.0,male,trunk,vidir_molemax",
        "HAM_0000550,ISIC_0024307,nv,follow_up,50.0,male,lower extremity,vidir_molemax",
        "HAM_0003577,ISIC_0029306,mel,histo,60.0,female,face,rosendahl",
    )
    write(
        root / "ISIC2018_Task3_Test_GroundTruth.csv",
        HAM,
        "HAMTEST_0000000,ISIC_0034524,nv,follow_up,40.0,female,back,x",
    )


def dermofit(root: Path) -> None:
    for kind, case in (("AK", "A107"), ("AK", "A108"), ("ML", "B4"), ("VASC", "P10")):
        touch(root, f"{kind}/{case}/{case}.png", f"{kind}/{case}/{case}mask.png")


PAD = (
    "patient_id,lesion_id,smoke,drink,background_father,background_mother,age,pesticide,gender,skin_cancer_history,"
    "cancer_history,has_piped_water,has_sewage_system,fitspatrick,region,diameter_1,diameter_2,diagnostic,itch,grew,"
    "hurt,changed,bleed,elevation,img_id,biopsed"
)


def pad_ufes_20(root: Path) -> None:
    touch(root, "images/imgs_part_1/PAT_1516_1765_530.png", "images/imgs_part_2/PAT_46_881_939.png")
    touch(root, "images/imgs_part_3/PAT_46_880_140.png")
    known = "FALSE,FALSE,POMERANIA,POMERANIA,55,FALSE,FEMALE,TRUE,TRUE,TRUE,TRUE,3.0,NECK,6.0,5.0"
    write(
        root / "metadata.csv",
        PAD,
        "PAT_1516,1765,,,,,8,,,,,,,,ARM,,,NEV,FALSE,FALSE,FALSE,FALSE,FALSE,FALSE,PAT_1516_1765_530.png,FALSE",
        f"PAT_46,881,{known},BCC,TRUE,TRUE,FALSE,TRUE,TRUE,TRUE,PAT_46_881_939.png,TRUE",
        f"PAT_46,880,{known},NEV,TRUE,UNK,FALSE,TRUE,TRUE,TRUE,PAT_46_880_140.png,TRUE",
    )


def fitzpatrick17k(root: Path) -> None:
    hashes = [
        "5e82a45bc5d78bd24ae9202d194423f8",
        "fa2911a9b13b6f8af79cb700937cc14f",
        "d2bac3c9e4499032ca8e9b07c7d3bc40",
    ]
    touch(root, *(f"images/{name}.jpg" for name in hashes[:2]))  # the third could not be had
    rows = zip(hashes, ("psoriasis", "scabies", "dermatofibroma"), strict=True)
    write(
        root / "fitzpatrick17k.csv",
        "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,three_partition_label,qc,url,url_alphanum",
        *(f"{name},3,3,{label},inflammatory,non-neoplastic,,https://x/{name}.jpg,x{name}.jpg" for name, label in rows),
    )


def chexpert(root: Path) -> None:
    paths = [f"train/patient0000{n}/study{m}/view1_frontal.jpg" for n, m in ((1, 1), (1, 2), (2, 1))]
    valid = "valid/patient64541/study1/view1_frontal.jpg"
    touch(root, *(f"CheXpert-v1.0-small/{path}" for path in (*paths, valid)))
    header = ",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *OBSERVATIONS])
    rest = "," * (len(OBSERVATIONS) - 3)
    rows = [f"1.0,,{rest}", f",0.0,1.0{rest[:-1]},1.0", f",,-1.0{rest}"]
    pairs = zip(paths, rows, strict=True)
    write(
        root / "CheXpert-v1.0-small" / "train.csv",
        header,
        *(f"CheXpert-v1.0-small/{path},Female,68,Frontal,AP,{row}" for path, row in pairs),
    )
    zeros = ",".join(["0.0"] * (len(OBSERVATIONS) - 1))
    write(
        root / "CheXpert-v1.0-small" / "valid.csv",
        header,
        f"CheXpert-v1.0-small/{valid},Male,73,Frontal,AP,{zeros},1.0",
    )


def chestxray14(root: Path) -> None:
    names = ["00000001_000.png", "00000001_001.png", "00000002_000.png", "00000003_000.png"]
    touch(root, *(f"images_00{1 + i // 2}/images/{name}" for i, name in enumerate(names)))
    found = ["Cardiomegaly", "Cardiomegaly|Emphysema", "No Finding", "Hernia"]
    header = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
    )
    rows = zip(names, found, strict=True)
    write(
        root / "Data_Entry_2017.csv",
        header,
        *(f"{n},{f},0,{int(n[:8])},58,M,PA,2682,2749,0.14300000000000002,0.14300000000000002," for n, f in rows),
    )
    write(
        root / "BBox_List_2017.csv",
        "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        "00000001_000.png,Mass,1,2,3,4,,,"[:-2],
    )
    write(root / "train_val_list.txt", *names[:3])
    write(root / "test_list.txt", names[3])


def rsna_pneumonia(root: Path) -> None:
    ids = ["0004cfab-14fd-4e49-80ba-63a80b6bddd6", "00436515-870c-4b36-a041-de91049b9ab4"]
    touch(root, *(f"stage_2_train_images/{name}.dcm" for name in ids), "stage_2_test_images/0000a175.dcm")
    boxes = [f"{ids[0]},,,,,0", f"{ids[1]},264.0,152.0,213.0,379.0,1", f"{ids[1]},562.0,152.0,256.0,453.0,1"]
    write(root / "stage_2_train_labels.csv", "patientId,x,y,width,height,Target", *boxes)
    classes = [f"{ids[0]},No Lung Opacity / Not Normal", f"{ids[1]},Lung Opacity", f"{ids[1]},Lung Opacity"]
    write(root / "stage_2_detailed_class_info.csv", "patientId,class", *classes)
    write(root / "stage_2_sample_submission.csv", "patientId,PredictionString", "0000a175,0.5 0 0 100 100")


def covid19_radiography(root: Path) -> None:
    top = root / "COVID-19_Radiography_Dataset"
    for kind in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"):
        touch(top, *(f"{kind}/{part}/{kind}-{i}.png" for part in ("images", "masks") for i in (1, 2)))
        touch(top, f"{kind}.metadata.xlsx")
    touch(top, "README.md.txt")


def aptos2019(root: Path) -> None:
    touch(root, *(f"train_images/{name}.png" for name in ("000c1434d8d7", "001639a390f0", "0024cdab0c1e")))
    touch(root, "test_images/0005cfc8afb6.png")
    write(root / "train.csv", "id_code,diagnosis", "000c1434d8d7,2", "001639a390f0,4", "0024cdab0c1e,0")
    write(root / "test.csv", "id_code", "0005cfc8afb6")
    write(root / "sample_submission.csv", "id_code,diagnosis", "0005cfc8afb6,0")


def messidor2(root: Path) -> None:
    eyes = ["20051020_43808_0100_PP.png", "20051020_43832_0100_PP.png", "IM000012.JPG", "IM000013.JPG"]
    touch(root, *(f"IMAGES/{name}" for name in eyes))
    write(root / "messidor-2.csv", "left;right ", f"{eyes[0]};{eyes[1]}", f"{eyes[3]};{eyes[2]}")
    write(
        root / "messidor_data.csv",
        "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable",
        f"{eyes[0]},0,0,1",
        f"{eyes[1]},1,0,1",
        "IM000012.jpg,3,1,1",  # the grades' table writes it so
        "IM000013.jpg,,,0",
    )


def oct2017(root: Path) -> None:
    for split, patient in (("train", 1016042), ("val", 8797076), ("test", 6294785)):
        touch(
            root, *(f"OCT2017/{split}/{kind}/{kind}-{patient}-{i}.jpeg" for kind in ("CNV", "NORMAL") for i in (1, 2))
        )


def breakhis(root: Path) -> None:
    top = "BreaKHis_v1/histology_slides/breast"
    slides = (("benign", "adenosis", "SOB_B_A", "14-22549AB"), ("malignant", "ductal_carcinoma", "SOB_M_DC", "14-2523"))
    for kind, subtype, code, slide in slides:
        folder = f"{top}/{kind}/SOB/{subtype}/{code}_{slide}"
        touch(root, *(f"{folder}/{m}X/{code}-{slide}-{m}-00{i}.png" for m in (40, 400) for i in (1, 2)))


def busi(root: Path) -> None:
    for kind in ("benign", "malignant", "normal"):
        touch(root, *(f"Dataset_BUSI_with_GT/{kind}/{kind} ({i}){end}.png" for i in (1, 2) for end in ("", "_mask")))
    touch(root, "Dataset_BUSI_with_GT/benign/benign (2)_mask_1.png")


def kvasir(root: Path) -> None:
    for kind in ("polyps", "esophagitis", "normal-cecum"):
        touch(root, *(f"kvasir-dataset-v2/{kind}/0a7bdce4-ac0d-44ef-93ee-92dfc8fe0b8{i}.jpg" for i in (1, 2)))


def brain_tumor_nickparvar(root: Path) -> None:
    kinds = {"glioma": "gl", "meningioma": "me", "notumor": "no", "pituitary": "pi"}
    for kind, short in kinds.items():
        touch(root, f"Training/{kind}/Tr-{short}Tr_0000.jpg", f"Training/{kind}/Tr-{short}_0010.jpg")
        touch(root, f"Testing/{kind}/Te-{short}_0010.jpg")


def brain_tumor_bhuvaji(root: Path) -> None:
    for kind in ("glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor"):
        touch(root, f"Training/{kind}/gg (1).jpg", f"Training/{kind}/m1(2).jpg", f"Testing/{kind}/image(1).jpg")


def patchcamelyon(root: Path) -> None:
    """Kaggle's copy; the HDF5 files have tests of their own."""
    touch(root, *(f"train/{SHA}{i}.tif" for i in "123"), f"test/{SHA}9.tif")
    write(root / "train_labels.csv", "id,label", *(f"{SHA}{i},{label}" for i, label in ((1, 0), (2, 1), (3, 0))))
    write(root / "sample_submission.csv", "id,label", f"{SHA}9,0")


def medimeta(root: Path, *, several: bool = False) -> None:
    touch(root, *(f"images/{i:06d}.tiff" for i in range(5)), "images.hdf5", "LICENSE")
    labels = [[0, 1], [0, 0], [1, 1], [1, 0], [0, 0]] if several else [0, 1, 0, 1, 0]
    (root / "task_labels").mkdir()
    np.save(root / "task_labels" / "disease class.npy", labels)
    np.save(root / "task_labels" / "urgent referral.npy", [1, 1, 0, 0, 0])
    for split, rows in {"train": (0, 1, 4), "val": (2,), "test": (3,)}.items():
        path = root / "splits" / f"{split}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(f"images/{i:06d}.tiff" for i in rows))
        write(root / "original_splits" / "train.txt", *(f"images/{i:06d}.tiff" for i in range(5)))
    kind = "MULTILABEL_CLASSIFICATION" if several else "MULTICLASS_CLASSIFICATION"
    write(
        root / "info.yaml",
        "id: oct",
        "name: OCT",
        "tasks:",
        f"  - {{task_name: disease class, task_target: {kind}, labels: {{0: CNV, 1: DME}}}}",
        "  - {task_name: urgent referral, task_target: BINARY_CLASSIFICATION, labels: {0: 'no', 1: 'yes'}}",
        "total_num_samples: 109_309",
        "splits_num_samples: {train: 3, val: 1, test: 1}",
    )
    rows = [f"images/{i:06d}.tiff,train,0,0,x/{i}.jpeg,train,P{i // 2}" for i in range(5)]
    header = "filepath,split,tasks/disease class,tasks/urgent referral,original_filepath,original_split,patient_id"
    write(root / "annotations.csv", header, *rows)


TREES: dict[str, Callable[[Path], None]] = {
    "isic2018": isic2018,
    "isic2019": isic2019,
    "isic2020": isic2020,
    "ham10000": ham10000,
    "dermofit": dermofit,
    "pad-ufes-20": pad_ufes_20,
    "fitzpatrick17k": fitzpatrick17k,
    "chexpert": chexpert,
    "chestxray14": chestxray14,
    "rsna-pneumonia": rsna_pneumonia,
    "covid19-radiography": covid19_radiography,
    "aptos2019": aptos2019,
    "messidor2": messidor2,
    "oct2017": oct2017,
    "breakhis": breakhis,
    "busi": busi,
    "kvasir": kvasir,
    "brain-tumor-nickparvar": brain_tumor_nickparvar,
    "brain-tumor-bhuvaji": brain_tumor_bhuvaji,
    "patchcamelyon": patchcamelyon,
    "medimeta": medimeta,
}
