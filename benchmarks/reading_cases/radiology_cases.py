"""What is tried on the sets of radiology.py, and what is right."""

from __future__ import annotations

from . import radiology as sets
from .case import Case, Reads, Stops, folder_only, passed_over, with_options

COLUMN = "--label-column"
LEVEL = "--class-level"
_NUMBERS = ("continuous", "measurement", "regression", "numbers", "different values", "distinct values")
_STUDIES = ("labeled_studies.csv", "negative", LEVEL)
CASES = (
    Case(
        "mura",
        "stanfordmlgroup.github.io/competitions/mura",
        sets.mura,
        (folder_only(Reads(groups="told"), Stops((_STUDIES,)), Reads("part", groups="told", told=(_STUDIES,))),),
    ),
    Case(
        "bone-age",
        "kaggle.com/datasets/kmader/rsna-bone-age",
        sets.bone_age,
        (
            with_options("--labels boneage-training-dataset.csv", Stops(("boneage", COLUMN))),
            with_options(
                "--labels boneage-training-dataset.csv --label-column boneage",
                Stops((_NUMBERS,)),
                Reads(told=(_NUMBERS,)),
            ),
        ),
    ),
    Case(
        "knee-kl-grades",
        "data.mendeley.com/datasets/56rmx5bjcr",
        sets.knee,
        (folder_only(Reads(groups="told"), Stops(("auto_test",))),),
    ),
    Case(
        "br35h",
        "kaggle.com/datasets/ahmedhamada0/brain-tumor-detection",
        sets.br35h,
        (folder_only(Reads(), Stops((("pred", "Br35H-Mask-RCNN"),))),),
    ),
    Case(
        "brain-mri-twice",
        "kaggle.com/datasets/navoneel/brain-mri-images-for-brain-tumor-detection",
        sets.brain_mri,
        (folder_only(Reads(), Stops(("brain_tumor_dataset",))),),
    ),
    Case(
        "brain-tumor-nickparvar",
        "kaggle.com/datasets/masoudnickparvar/brain-tumor-mri-dataset",
        sets.nickparvar,
        (folder_only(Reads()),),
    ),
    Case(
        "oasis-slices",
        "kaggle.com/datasets/ninadaithal/imagesoasis",
        sets.oasis,
        (
            folder_only(Reads(groups="told")),
            with_options("--group-pattern (OAS1_\\d+)", Reads()),
        ),
    ),
    Case(
        "lidc-idri",
        "cancerimagingarchive.net (LIDC-IDRI)",
        sets.lidc,
        (folder_only(Reads(None, groups="told"), *passed_over("metadata.csv"), Stops((LEVEL,))),),
    ),
    Case("brats", "med.upenn.edu/cbica/brats2020", sets.brats, (folder_only(Stops(("--class-level",))),)),
    Case(
        "cbis-ddsm",
        "kaggle.com/datasets/awsaf49/cbis-ddsm-breast-cancer-image-dataset",
        sets.cbis_ddsm,
        (
            folder_only(*passed_over("mass_case_description_train_set.csv")),
            with_options(
                "--labels {root}/csv/mass_case_description_train_set.csv", Stops((("not under", "--image-column"),))
            ),
        ),
    ),
    Case(
        "inbreast",
        "INbreast (Academic Radiology 19:236)",
        sets.inbreast,
        (
            folder_only(Reads(), *passed_over("INbreast.csv")),
            with_options(
                "--labels {root}/INbreast/INbreast.csv",
                Reads(),
                Stops((("not under", "--image-column"),)),
                Stops((COLUMN,)),
            ),
        ),
    ),
    Case(
        "vindr-mammo",
        "physionet.org/content/vindr-mammo",
        sets.vindr_mammo,
        (
            with_options("--labels breast-level_annotations.csv", Stops((COLUMN, "breast_birads"))),
            with_options("--labels breast-level_annotations.csv --label-column breast_birads", Reads(groups="told")),
            with_options(
                "--labels breast-level_annotations.csv --label-column breast_birads --group-column study_id", Reads()
            ),
        ),
    ),
    Case(
        "rsna-breast",
        "kaggle.com/c/rsna-breast-cancer-detection",
        sets.rsna_breast,
        (
            with_options("--labels train.csv", Reads(), Stops((COLUMN, "cancer"))),
            with_options("--labels train.csv --label-column cancer", Reads()),
        ),
    ),
    Case(
        "bus-bra",
        "wgomezf/BUS-BRA",
        sets.bus_bra,
        (
            folder_only(Reads(told=("Histology",)), *passed_over("bus_data.csv"), at="BUSBRA"),
            with_options(
                "--labels bus_data.csv", Reads(told=("Histology",)), Stops((COLUMN, "Pathology")), at="BUSBRA"
            ),
            with_options("--labels bus_data.csv --label-column Pathology", Reads(), at="BUSBRA"),
        ),
    ),
    Case(
        "pocus-ultrasound",
        "jannisborn/covid19_ultrasound",
        sets.pocus,
        (
            folder_only(Reads(), *passed_over("dataset_metadata.csv")),
            with_options("--labels {root}/data/dataset_metadata.csv", Stops(("Cov-Atlas-convex",)), Reads()),
            with_options("--labels {root}/data/dataset_metadata.csv --missing skip", Reads()),
        ),
    ),
    Case(
        "hyper-kvasir",
        "datasets.simula.no/hyper-kvasir",
        sets.hyper_kvasir,
        (folder_only(Reads(), Reads("tract", told=(LEVEL,)), Stops((LEVEL,)), *passed_over("image-labels.csv")),),
    ),
    Case("kvasir-v2", "datasets.simula.no/kvasir", sets.kvasir_v2, (folder_only(Reads()),)),
    Case(
        "kvasir-seg", "datasets.simula.no/kvasir-seg", sets.kvasir_seg, (folder_only(Reads(None), Stops(("masks",))),)
    ),
)
