from __future__ import annotations

import numpy as np
import pytest

from sightline.errors import DataRejected
from sightline.tasks.battery_faults.runs import RunLengths, read_runs


def test_runs_go_down_the_columns_and_begin_outside() -> None:
    mask = np.array([[0, 1, 1], [0, 1, 0], [0, 0, 0]], dtype=bool)
    runs = RunLengths.encode(mask)
    assert runs.counts == (3, 2, 1, 1, 2)
    assert (runs.area_px, runs.box) == (3, (1, 0, 3, 2))
    assert (runs.decode() == mask).all()


def test_a_mask_that_begins_inside_has_an_empty_first_run() -> None:
    assert RunLengths.encode(np.ones((2, 2), dtype=bool)).counts == (0, 4)
    assert RunLengths.encode(np.zeros((2, 2), dtype=bool)).counts == (4,)
    assert RunLengths.encode(np.zeros((2, 2), dtype=bool)).box == (0, 0, 0, 0)


@pytest.mark.parametrize("seed", range(8))
def test_masks_come_back_from_runs_and_from_compressed_runs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((17, 40)) < rng.random()
    mask[:, 5:9] = seed % 2 == 0
    runs = RunLengths.encode(mask)
    rows, columns = np.nonzero(mask)
    assert runs.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert runs.area_px == mask.sum()
    assert (read_runs(runs.document(), (17, 40), "a").decode() == mask).all()
    assert read_runs({"counts": runs.compressed, "size": [17, 40]}, (17, 40), "a") == runs


def test_compressed_runs_are_those_of_coco() -> None:
    # 52 = 0b110100: "T" (0x14 with more) and "1"; 5 is "5"; 100 = 0b1100100: "T3"; 7 - 5 = 2 is "2".
    assert RunLengths((52, 5, 100, 7), (4, 41)).compressed == "d15T32"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("7", "no counts"),
        ({"size": [2, 2]}, "no counts"),
        ({"counts": [4], "size": [1, 4]}, "size is [1, 4]"),
        ({"counts": [4], "size": 4}, "size is 4"),
        ({"counts": [3], "size": [2, 2]}, "add up to 3"),
        ({"counts": [5, -1], "size": [2, 2]}, "not a list of whole numbers"),
        ({"counts": [4.0], "size": [2, 2]}, "not a list of whole numbers"),
        ({"counts": "\u00e9", "size": [2, 2]}, "compressed runs are broken"),
        ({"counts": "T", "size": [2, 2]}, "compressed runs are broken"),
        ({"counts": "o" * 99, "size": [2, 2]}, "compressed runs are broken"),
    ],
)
def test_broken_runs_are_refused_by_file_and_field(document: object, said: str) -> None:
    with pytest.raises(DataRejected, match=r"^a\.json: segmentations") as caught:
        read_runs(document, (2, 2), "a.json: segmentations[0]")
    assert said in str(caught.value)
