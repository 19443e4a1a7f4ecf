"""What may not be read or listed is named in a set, and keeps nothing else out of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.errors import DataRejected
from sightline.listing import closed_folders, find_files, walk_folders
from sightline.task import Manifest
from sightline.tasks.land_cover.data import load_manifest as load_tiles
from sightline.tasks.panel_defects.data import load_manifest as load_photographs
from sightline.tasks.panel_defects.farms import load_manifest as load_farms
from sightline.tasks.pv_hotspots.data import load_manifest as load_thermograms
from sightline.tasks.ships.data import load_manifest as load_ships

Load = Callable[[Path], Manifest]


def write(path: Path, content: bytes | str = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(path.name.encode())
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    return path


def thermograms(root: Path) -> None:
    for name in ("a", "b"):
        picture(root / f"dataset_1/images/{name}.png")
        write(root / f"dataset_1/annotations/{name}.json", '{"instances": []}')


def photographs(root: Path) -> None:
    for name in ("a", "b"):
        picture(root / f"images/{name}.png")
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(root / f"masks/{name}.png")


def farms(root: Path) -> None:
    for name in ("a", "b"):
        write(root / f"{name}.tfrecord")


def tiles(root: Path) -> None:
    names = ("6010_1_2", "6020_1_2")
    for name in names:
        write(root / f"sixteen_band/{name}_M.tif")
    rows = "".join(f"{name},{kind},MULTIPOLYGON EMPTY\n" for name in names for kind in range(1, 11))
    write(root / "train_wkt_v4.csv", f"ImageId,ClassType,MultipolygonWKT\n{rows}")
    write(root / "grid_sizes.csv", ",Xmax,Ymin\n" + "".join(f"{name},0.009,-0.009\n" for name in names))


def ships(root: Path) -> None:
    for name in ("a", "b"):
        picture(root / f"scenes/{name}.png")
    write(root / "hand_labels.json", json.dumps({"boxes": {"a": [], "b": []}}))


SETS: dict[str, tuple[Load, Callable[[Path], None], str]] = {
    "pv_hotspots": (load_thermograms, thermograms, "dataset_1/images/a.png"),
    "panel_defects": (load_photographs, photographs, "images/a.png"),
    "solar_farms": (load_farms, farms, "a.tfrecord"),
    "land_cover": (load_tiles, tiles, "sixteen_band/6010_1_2_M.tif"),
    "ships": (load_ships, ships, "scenes/a.png"),
}


@pytest.fixture
def close(tmp_path: Path) -> Callable[[Path], None]:
    probe = write(tmp_path / "probe")
    probe.chmod(0)
    if os.access(probe, os.R_OK):
        pytest.skip("this user may read everything")
    return lambda path: path.chmod(0)


@pytest.mark.parametrize("task", SETS)
def test_a_file_that_may_not_be_read_is_the_problem_of_its_sample(
    task: str, tmp_path: Path, close: Callable[[Path], None]
) -> None:
    load, fill, file = SETS[task]
    fill(tmp_path / "real")
    before = len(load(tmp_path / "real"))
    close(tmp_path / "real" / file)
    found = load(tmp_path / "real").samples
    assert len(found) == before
    (said,) = (sample.problem for sample in found if sample.input_file == file)
    assert "cannot be read" in said


@pytest.mark.parametrize("task", SETS)
def test_a_folder_that_may_not_be_listed_is_named_and_keeps_nothing_else_out(
    task: str, tmp_path: Path, close: Callable[[Path], None]
) -> None:
    load, fill, _ = SETS[task]
    fill(tmp_path / "real")
    before = load(tmp_path / "real").samples
    (tmp_path / "real" / "closed").mkdir()
    close(tmp_path / "real" / "closed")
    found = load(tmp_path / "real").samples
    assert [sample for sample in found if sample.input_file != "closed"] == list(before)
    (said,) = (sample.problem for sample in found if sample.input_file == "closed")
    assert said.startswith("closed: the folder cannot be listed (Permission denied). Allow yourself to read it")
    close(tmp_path / "real")
    with pytest.raises(DataRejected, match="cannot be listed"):
        load(tmp_path / "real")


def test_folders_that_may_not_be_entered_are_closed_too(tmp_path: Path, close: Callable[[Path], None]) -> None:
    write(tmp_path / "set/names_only/inner/a.png")
    (tmp_path / "set/names_only").chmod(0o444)
    assert [sample.input_file for sample in closed_folders(tmp_path / "set", 3)] == ["names_only"]
    assert find_files(tmp_path / "set/names_only/inner", (".png",)) == []


def test_the_folder_of_a_disks_own_is_none_of_a_set(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert list(walk_folders(tmp_path, 2)) == [tmp_path]
    assert closed_folders(tmp_path, 2) == []
