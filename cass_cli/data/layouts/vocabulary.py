"""The words that publishers use in folder, file and column names, and what each kind of them means."""

from __future__ import annotations

import re

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "trn", "trainset", "trainval", "trainingset", "trainingsdaten"), "train"),
    **dict.fromkeys(
        ("entrenamiento", "entrainement", "entraînement", "treino", "addestramento", "训练", "训练集"), "train"
    ),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "tuning", "tune", "valset"), "val"),
    **dict.fromkeys(("validierung", "validacion", "validación", "validação", "validazione", "验证", "验证集"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "holdout", "testset"), "test"),
    **dict.fromkeys(("testdaten", "prueba", "pruebas", "teste", "测试", "测试集"), "test"),
}
SHORT_SPLITS = {"tr": "train", "va": "val", "vl": "val", "te": "test", "ts": "test"}  # only beside one another
EXTERNAL = {"external", "extra", "ood", "unlabeled", "unlabelled", "pred", "prediction", "predictions", "submission"}

# Folders that hold images of every kind; their names are no classes.
CONTAINERS = {
    *("image", "images", "img", "imgs", "data", "dataset", "datasets", "photos", "pictures", "slices", "scans", "raw"),
    *("jpg", "jpeg", "png", "tif", "tiff", "bmp", "dicom", "dcm", "original", "originals", "files", "input"),
    *("mask", "masks", "segmentation", "segmentations"),
}
NO_CLASSES = {*EXTERNAL, "unsorted", "thumbnails", "thumbs", "previews", "sample_submission"}
UNSORTED = {"unlabeled", "unlabelled", "prediction", "predictions", "thumbnails"}  # wherever they stand
MASK_WORDS = {
    *("mask", "masks", "segmentation", "segmentations", "seg", "segs", "groundtruth", "groundtruths", "gt", "gts"),
    *("annotation", "annotations", "label", "labels", "contour", "contours", "roi", "rois", "manual", "masken"),
    *("overlay", "overlays", "matte", "mattes"),
}

# What a numbered folder is told by: the word before its number.
PART_STEMS = {
    *("part", "parts", "batch", "archive", "chunk", "shard", "pack", "disk", "disc", "vol", "volume", "zip", "tar"),
    *("folder", "dir", "section", "set", "subset", "fold", "kfold", "split", "images", "image", "img", "imgs", "data"),
    *("dataset", "png", "jpg", "jpeg", "dicom", "files", "collection", "download", "release", "version"),
    *("site", "center", "centre", "hospital", "institution", "institute", "clinic", "cohort", "scanner", "camera"),
}
PERSON_STEMS = {
    "patient",
    "patients",
    "pat",
    "pt",
    "pts",
    "patientid",
    "subject",
    "subj",
    "sub",
    "person",
    "participant",
    "mrn",
}
CASE_STEMS = {
    *("case", "study", "series", "session", "visit", "exam", "examination", "scan", "slide", "lesion", "sample"),
    *("specimen", "biopsy", "acc", "accession", "pid", "id", "p", "s", "ses", "wsi", "video", "clip", "sequence"),
}
CLASS_STEMS = {
    *("class", "cls", "c", "label", "category", "cat", "grade", "g", "stage", "type", "level", "kl", "birads", "rads"),
    *("score", "degree", "gleason", "isup", "severity", "phase", "tirads", "pirads", "mayo", "quality", "fitzpatrick"),
}
# Folders that part the images of one class or patient by how they were taken.
VIEWS = {
    *(
        "left",
        "right",
        "od",
        "os",
        "ou",
        "re",
        "le",
        "eye",
        "mri",
        "ct",
        "xray",
        "us",
        "male",
        "female",
        "easy",
        "hard",
    ),
    *("philips", "siemens", "ge", "canon", "toshiba", "aperio", "hamamatsu", "leica", "olympus", "zeiss", "topcon"),
    *("l", "r", "ap", "pa", "cc", "mlo", "lateral", "frontal", "posterior"),
    *("anterior", "axial", "coronal", "sagittal", "t1", "t2", "t1ce", "t1c", "flair", "dwi", "adc", "pd", "wli"),
    *("nbi", "bli", "lci", "oct", "fundus", "dermoscopic", "dermoscopy", "clinical", "overview", "augmented"),
    *(
        "convex",
        "linear",
        "phased",
        "cropped",
        "crop",
        "resized",
        "preprocessed",
        "processed",
        "enhanced",
        "normalized",
        "normalised",
    ),
}
VARIANTS = {  # of the same images
    *("raw", "original", "originals", "clahe", "he", "macenko", "reinhard", "vahadane", "normalized", "normalised"),
    *("stain", "enhanced", "processed", "preprocessed", "small", "large", "low", "high", "res", "lr", "hr", "full"),
    *("resized", "cropped", "thumbs", "thumbnails", "jpg", "jpeg", "png", "tif", "tiff", "gray", "grey", "rgb"),
}
AUGMENTED = {"augmented", "augmentation", "aug"}
# Words that name a finding wherever they stand.
FINDINGS = {
    *("benign", "malignant", "malignancy", "normal", "abnormal", "positive", "negative", "pos", "neg", "healthy"),
    *("disease", "diseased", "cancer", "cancerous", "tumor", "tumour", "notumor", "covid", "covid19", "pneumonia"),
    *(
        "nevus",
        "naevus",
        "melanoma",
        "cyst",
        "stone",
        "lesion",
        "polyp",
        "ulcer",
        "hemorrhage",
        "fracture",
        "yes",
        "no",
        "infected",
        "uninfected",
        "parasitized",
        "control",
        "sick",
    ),
}

DISEASES = ("oma", "itis", "osis", "emia", "aemia", "pathy", "plasia", "trophy")  # how words for findings end

# Columns of a table.
IMAGE_COLUMNS = (
    *("image", "image_name", "image_path", "image_id", "image_file", "image_index", "filename", "file_name"),
    *("filepath", "file_path", "file", "path", "img", "img_path", "img_name", "img_id", "isic_id", "name", "id"),
)
GROUP_COLUMNS = (
    *("group", "patient_id", "patient", "patientid", "subject_id", "subject", "case_id", "case", "lesion_id"),
)
PERSONS = (
    "patient",
    "patientid",
    "patid",
    "pat",
    "patienten",
    "subject",
    "subj",
    "individual",
    "donor",
    "participant",
    "person",
    "mrn",
    "pid",
    "lesion",
    "case",
)
LABEL_COLUMNS = (
    *("label", "labels", "class", "classes", "class_name", "category", "diagnosis", "dx", "target"),
    *("finding_labels", "findings", "y"),
)
LABEL_WORDS = {
    *("label", "labels", "class", "classes", "category", "diagnosis", "diagnoses", "diagnostic", "dx", "target"),
    *("finding", "findings", "disease", "pathology", "grade", "grading", "severity", "level", "outcome", "malignancy"),
    *("histology", "subtype", "annotation", "vote", "gt", "groundtruth"),
}
TYPE_COLUMNS = {f"{what}_type" for what in ("histological", "tumor", "tumour", "lesion", "disease", "cancer", "cell")}
ABOUT_LABELS = {  # a column of these is about the label, and not it
    *("type", "confirm", "confirmed", "confirmation", "date", "time", "method", "source", "code", "id", "by", "year"),
    *("count", "number", "num", "notes", "note", "comment", "comments", "confidence", "text", "keywords", "report"),
    *("description", "certainty", "annotators", "how", "quality", "url", "link", "page"),
}
SPLIT_COLUMNS = ("split", "subset", "partition", "set")
COVARIATES = {  # what is known of a patient or a picture, and is no class unless asked for
    *("age", "sex", "gender", "male", "female", "race", "ethnicity", "country", "site", "location", "localization"),
    *("localisation", "anatom", "anatomy", "region", "view", "laterality", "side", "eye", "width", "height", "size"),
    *("date", "time", "year", "hospital", "center", "centre", "device", "camera", "manufacturer", "weight", "bmi"),
    *("smoke", "smoker", "smoking", "drink", "alcohol", "pesticide", "history", "background", "father", "mother"),
    *("diabetes", "hypertension", "external", "biopsed", "biopsied", "index", "unnamed", "skin", "phototype"),
    *("fitzpatrick", "tbp", "pixels", "pixel", "quality", "followup", "score", "x", "w", "h", "xmin", "ymin", "xmax"),
    *("ymax", "bbox", "diameter", "elevation", "url", "license", "licence", "copyright", "attribution", "weights"),
}
# What tells one subgroup of people or pictures from another: kept beside the images, and no class unless asked for.
SUBGROUPS = {
    *("age", "sex", "gender", "race", "ethnicity", "fitzpatrick", "fitspatrick", "phototype"),
    *("site", "hospital", "center", "centre", "institution", "institute", "clinic", "device", "camera", "scanner"),
    *("manufacturer", "vendor", "location", "localization", "localisation", "anatom", "anatomy", "region"),
    *("laterality", "view", "magnification", "ap", "frontal"),
}
MISSING = {
    *(
        "",
        "nan",
        "nat",
        "na",
        "n/a",
        "n.a.",
        "<na>",
        "null",
        "#n/a",
        "#ref!",
        "#value!",
        "?",
        "-",
        "--",
        ".",
        "-1",
        "-1.0",
    ),
    *("undefined", "not available", "not applicable", "n/k", "k.a.", "tbd"),
}
NO_FINDING = {"no finding", "no findings", "none", "no_finding", "nofinding"}

_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+|\d+")


def tokens(name: str) -> list[str]:
    """Return the words and numbers of a name, in lower case: `stage2_TrainImages` → stage, 2, train, images."""
    return [token.lower() for token in _TOKEN.findall(name)]


def plain(name: str) -> str:
    """Return a name in lower case, its blanks and hyphens as underscores: as the lists of usual names spell it."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def split_name(word: str) -> str | None:
    """Return "train", "val" or "test" where the word is a usual spelling of one of the three, in any case."""
    return SPLIT_NAMES.get(word.strip().lower())


def split_in(name: str) -> str | None:
    """Return the one split that words within `name` tell: `training_set`, `stage_2_train_images`; else None."""
    words = tokens(name)
    if EXTERNAL & set(words):
        return None
    found = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
    return found.pop() if len(found) == 1 else "train" if found == {"train", "val"} else None


def is_container(folder: str) -> bool:
    """True for a folder name such as `images` or `ISIC_2019_Training_Input`, which names no class."""
    if folder.lower() in CONTAINERS or folder.lower().endswith("_input"):
        return True
    words = tokens(folder)  # imagesTr, imagesTs
    return len(words) == 2 and words[0] in CONTAINERS and words[1] in SHORT_SPLITS


def is_mask_folder(folder: str) -> bool:
    """True for `masks`, `Ground Truth`, `Part1_GroundTruth`, `lesion_segmentations`; not for `with_mask`."""
    words = tokens(folder)
    words = words[:-1] if words[-1:] and words[-1] in SHORT_SPLITS else words  # labelsTr
    if not words or words[0] in {"with", "without", "no", "face", "wearing", "un"}:
        return False
    joined = "".join(words[-2:])
    named = words[0] in MASK_WORDS and all(word in CONTAINERS or word.isdecimal() for word in words)  # mask_images
    return named or words[-1] in MASK_WORDS or joined in MASK_WORDS


def names_finding(name: str) -> bool:
    """True where a word of the name tells a finding: `benign`, `covid_positive`."""
    words = tokens(name)
    told = not FINDINGS.isdisjoint(words) or plain(name).replace("_", "") in FINDINGS
    return told or any(len(word) > 5 and word.endswith(DISEASES) for word in words)
