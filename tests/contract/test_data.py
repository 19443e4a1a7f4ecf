"""What every task promises about its data."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest

from sightline.errors import DataMissing, ModelError
from sightline.files import sha256_input
from sightline.limits import Limits
from sightline.pipeline.listings import list_set
from sightline.splits import apply_splits, assign
from sightline.task import Manifest
from tests.contract.subjects import ALL, Silent, tiny_params, tiny_task

GATE_COLUMNS = {"id", "set", "file", "problem", "sha256", "group", "stratum", "split", "fold", ""}


@pytest.fixture(scope="module", params=ALL)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def manifest(name: str, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp(name) / "sample"
    task = tiny_task(name)
    progress = Silent()
    task.sample(root, progress)
    assert all(0 < done <= total and what for done, total, what in progress.steps)
    return task.load(root)


def test_name_and_candidates(name: str) -> None:
    candidates = tiny_params(name).candidates
    assert tiny_task(name).name == name
    assert candidates
    assert len(set(candidates)) == len(candidates)


def test_upstream_names_its_source_and_licence(name: str) -> None:
    upstream = tiny_task(name).upstream
    if upstream is not None:
        assert upstream.ref
        assert upstream.licence
        needs = {"competition": upstream.names, "https": upstream.files}
        assert needs.get(upstream.kind, True)


def test_samples_are_whole_and_unplaced(name: str, manifest: Manifest) -> None:
    assert len(manifest) > 0
    assert len({sample.key for sample in manifest.samples}) == len(manifest)
    for sample in manifest.samples:
        assert sample.problem == ""
        assert sample.set == "sample"
        assert (sample.split, sample.fold) == ("", -1)
        assert sample.group
        assert all(math.isfinite(value) for value in sample.figures.values())
        assert all(manifest.path(sample, role).is_file() for role in sample.files)
        source = tiny_task(name).source(manifest, sample)
        digest = hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else sha256_input(source)
        assert sample.sha256 == digest


def test_a_listing_that_was_kept_is_the_listing(name: str, manifest: Manifest, tmp_path: Path) -> None:
    task, params, folder, kept = tiny_task(name), tiny_params(name, seed=7), manifest.root / "sample", tmp_path / "kept"
    assert list_set(task, params, folder, kept, settled_ns=0) == manifest
    assert kept.is_file()
    found = list_set(task, params, folder, kept, settled_ns=0)
    assert found == manifest
    assert [list(one.files) for one in found.samples] == [list(one.files) for one in manifest.samples]


def test_limits_of_a_user_reach_the_listing_and_all_who_read_it(name: str, manifest: Manifest, tmp_path: Path) -> None:
    task, params, folder, kept = tiny_task(name), tiny_params(name, seed=7), manifest.root / "sample", tmp_path / "kept"
    assert list_set(task, params, folder, kept, settled_ns=0) == manifest
    small = Limits(bytes=2000, pixels=500)
    for _ in range(2):
        found = list_set(task, params, folder, kept, small, settled_ns=0)
        assert found.limits == small
        assert any("SIGHTLINE_MAX_" in sample.problem for sample in found.samples)
    assert found.where(lambda sample: not sample.problem).limits == small


def test_loading_twice_gives_the_same(name: str, manifest: Manifest) -> None:
    assert tiny_task(name).load(manifest.root / "sample") == manifest


def test_the_sample_is_decided_by_its_seed(name: str, manifest: Manifest, tmp_path: Path) -> None:
    digests = []
    for folder, seed in (("same", 7), ("other", 8)):
        task = tiny_task(name, seed)
        task.sample(tmp_path / folder / "sample", Silent())
        digests.append(task.load(tmp_path / folder / "sample").digest())
    assert digests[0] == manifest.digest() != digests[1]


def test_every_split_gets_samples_and_no_group_is_divided(name: str, manifest: Manifest) -> None:
    params = tiny_params(name, 7).data
    placed = apply_splits(manifest, assign(manifest.samples, params), params.folds)
    assert {sample.split for sample in placed.samples} == {"train", "validation", "test"}
    places = {(sample.group, sample.split, sample.fold) for sample in placed.samples}
    assert len(places) == len({sample.group for sample in placed.samples})


def test_expectations_ask_for_columns_that_are_there(name: str, manifest: Manifest) -> None:
    expectations = tiny_task(name).expectations()
    assert expectations
    columns = GATE_COLUMNS | set(manifest.samples[0].figures)
    assert {expectation.column for expectation in expectations} - columns == set()
    assert all(expectation.why for expectation in expectations)


def test_what_is_not_there_is_said_to_be_missing(name: str, tmp_path: Path) -> None:
    task = tiny_task(name)
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "absent"):
        with pytest.raises(DataMissing, match=folder):
            task.load(tmp_path / folder)
        with pytest.raises(ModelError, match=folder):
            task.restore(tmp_path / folder)


def test_a_broken_card_is_refused(name: str, tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"task": "another"}', "\x00\xff"):
        (tmp_path / "card.json").write_text(text, encoding="utf-8")
        with pytest.raises(ModelError, match=r"card\.json"):
            tiny_task(name).restore(tmp_path)
