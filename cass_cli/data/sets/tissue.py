"""Sets of tissue and of the inside of the body: BreakHis, BUSI, Kvasir, brain tumours."""

from __future__ import annotations

from cass_cli.data.sets.public_set import PublicSet
from cass_cli.data.sets.reading import Pattern

breakhis = Pattern(
    path=r"(benign|malignant)/SOB/[a-z_]+/[^/]+/(40|100|200|400)X/SOB_(?P<label>[BM])_[A-Z]+-(?P<group>\d+-[0-9A-Za-z]+)-(40|100|200|400)-\d+\.png",
    classes={"B": "benign", "M": "malignant"},
    groups_by="patients in file names",
)
busi = Pattern(
    path=r"(?P<label>benign|malignant|normal)/(?P=label) \(\d+\)\.png",
    classes={name: name for name in ("benign", "malignant", "normal")},
)
KVASIR_CLASSES = (
    *("dyed-lifted-polyps", "dyed-resection-margins", "esophagitis", "normal-cecum", "normal-pylorus"),
    *("normal-z-line", "polyps", "ulcerative-colitis"),
)
kvasir = Pattern(
    path=rf"(?P<label>{'|'.join(KVASIR_CLASSES)})/[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}\.jpg",
    classes={name: name for name in KVASIR_CLASSES},
)
BRAIN_SPLITS = {"Training": "train", "Testing": "test"}
nickparvar = Pattern(
    path=r"(?P<split>Training|Testing)/(?P<label>glioma|meningioma|notumor|pituitary)/T[er]-[a-zA-Z-]+_?\d+\.jpg",
    classes={name: name for name in ("glioma", "meningioma", "notumor", "pituitary")},
    splits=BRAIN_SPLITS,
)
bhuvaji = Pattern(
    path=r"(?P<split>Training|Testing)/(?P<label>(glioma|meningioma|no|pituitary)_tumor)/[^/]+\.jpg",
    classes={f"{name}_tumor": f"{name}_tumor" for name in ("glioma", "meningioma", "no", "pituitary")},
    splits=BRAIN_SPLITS,
)

SETS = (
    PublicSet(
        name="breakhis",
        title="BreakHis",
        kind="histology of breast tumours",
        holds="7,909 images of 82 patients, benign or malignant (8 subtypes), at 40, 100, 200 and 400 ×",
        paper="Spanhol et al. 2016, IEEE Trans Biomed Eng 63:1455",
        page="https://web.inf.ufpr.br/vri/databases/breast-cancer-histopathological-database-breakhis/",
        licence="CC BY 4.0",
        size="4 GB",
        lies="BreaKHis_v1/histology_slides/breast/benign|malignant/SOB/SUBTYPE/PATIENT/40X|100X|200X|400X/",
        groups="the patient, in a file's name",
        split="five folds by patient, one a magnification (had apart): not one split, and not used",
        traps=(
            "Images of a patient at four magnifications look alike: a split by image scores far too high.",
            "Slide 14-13412 comes under two subtypes, both malignant.",
            "Subtypes instead of benign and malignant: --class-level with the level of their folders.",
            "The paper works at one magnification at a time.",
        ),
        read=breakhis.read,
        tables=r"Folds\.csv",
    ),
    PublicSet(
        name="busi",
        title="BUSI (breast ultrasound images)",
        kind="ultrasound of the breast",
        holds="780 images of 600 women: 437 benign, 210 malignant, 133 normal",
        paper="Al-Dhabyani et al. 2020, Data in Brief 28:104863",
        page="https://scholar.cu.edu.eg/?q=afahmy/pages/dataset",
        licence="none stated by the publisher; CC0 on Kaggle",
        size="0.2 GB",
        lies="Dataset_BUSI_with_GT/benign/, malignant/, normal/ with masks beside the images",
        groups="none: images of one woman can't be told",
        split="none",
        traps=(
            "Beside each image lies its mask, …_mask.png: left out.",
            "235 images come twice, some in two classes, and 295 bear marks or words of the examiner (Pawłowska et al. "
            "2023, doi:10.1016/j.dib.2023.109247): use --split-by-duplicates.",
        ),
        read=busi.read,
    ),
    PublicSet(
        name="kvasir",
        title="Kvasir",
        kind="endoscopy of the gastrointestinal tract",
        holds="8,000 images (version 1: 4,000), 8 classes of equal size",
        paper="Pogorelov et al. 2017, MMSys, doi:10.1145/3083187.3083212",
        page="https://datasets.simula.no/kvasir/",
        licence="for research and education",
        size="2.3 GB (version 2)",
        lies="kvasir-dataset-v2/ with a folder a class",
        groups="none",
        split="none",
        traps=(
            "Frames of one examination look alike, and nothing tells them: use --split-by-duplicates.",
            "Version 2 contains version 1.",
            "A green picture-in-picture of the endoscope's position goes with some classes.",
        ),
        read=kvasir.read,
    ),
    PublicSet(
        name="brain-tumor-nickparvar",
        title="Brain tumour MRI (Nickparvar)",
        kind="slices of brain MRI",
        holds="7,023 images (5,712 training, 1,311 test): glioma, meningioma, pituitary, no tumour",
        paper="Nickparvar 2021, doi:10.34740/kaggle/dsv/2645886",
        page="https://www.kaggle.com/datasets/masoudnickparvar/brain-tumor-mri-dataset",
        licence="CC0",
        size="0.2 GB",
        lies="Training/ and Testing/, in each glioma/, meningioma/, notumor/, pituitary/",
        groups="none: slices of one patient can't be told",
        split="the folders",
        traps=(
            "It is three sets in one: the class without tumour comes from another source than the tumours.",
            "Slices of one patient lie in training and test: scores near 1 are the rule, and mean little.",
        ),
        read=nickparvar.read,
    ),
    PublicSet(
        name="brain-tumor-bhuvaji",
        title="Brain tumour MRI (Bhuvaji, SARTAJ)",
        kind="slices of brain MRI",
        holds="3,264 images (2,870 training, 394 test): glioma, meningioma, pituitary, no tumour",
        paper="Bhuvaji et al. 2020, doi:10.34740/kaggle/dsv/1183165",
        page="https://www.kaggle.com/datasets/sartajbhuvaji/brain-tumor-classification-mri",
        licence="MIT (in the publisher's repository)",
        size="0.1 GB",
        lies="Training/ and Testing/, in each glioma_tumor/, meningioma_tumor/, no_tumor/, pituitary_tumor/",
        groups="none: slices of one patient can't be told",
        split="the folders",
        traps=(
            "Training and test differ in their sources: validation scores do not carry over.",
            "64 files lie in training and test alike; up to two thirds of the test slices have a near-identical one in "
            "training.",
            "Some gliomas of the test are labelled wrongly, as the set's discussion page says.",
        ),
        read=bhuvaji.read,
    ),
)
