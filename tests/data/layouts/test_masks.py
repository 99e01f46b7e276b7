from __future__ import annotations

from cass_cli.data.layouts.masks import find_masks


def test_a_segmentation_beside_several_contrasts_of_a_volume_is_a_mask() -> None:
    volumes = [f"c{i}/BraTS_{i}_{what}.nii.gz" for i in range(2) for what in ("flair", "t1", "seg")]
    assert find_masks(volumes) == {"c0/BraTS_0_seg.nii.gz", "c1/BraTS_1_seg.nii.gz"}
    assert find_masks([name.replace(".nii.gz", ".png") for name in volumes]) == set()  # which may be views
    assert find_masks(["a/b_seg.nii.gz", "a/c_t1.nii.gz", "d/b_t1.nii.gz"]) == set()
