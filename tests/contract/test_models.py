"""What every task promises about its models: each candidate trained on a tiny set, then used in all ways there are."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.capabilities import Streaming
from sightline.conditions import put_under
from sightline.errors import DataError, DataRejected, ModelRejected
from sightline.limits import Limits
from sightline.splits import apply_splits, assign
from sightline.stopping import Stopped, stoppable
from sightline.task import Input, Manifest, Model, Prediction, Row, Sample, Task, TrainingData, load_rows, save_rows
from sightline.video.opening import open_frames
from sightline.vision.images import noise_picture
from tests.contract.streaming import assert_streams
from tests.contract.subjects import TRAINED, Silent, answer_of, tiny_params, tiny_task


@dataclass(frozen=True)
class Trained:
    """One candidate after its training, and again after a restore."""

    task: Task
    metric: str
    candidate: str
    fresh: Model
    folder: Path
    model: Model
    data: Manifest
    rows: list[Row]


def fit(task: Task, candidate: str, data: Manifest, work: Path) -> Model:
    work.mkdir(parents=True, exist_ok=True)
    train = data.where(lambda s: s.split == "train")
    return task.train(candidate, TrainingData(train, data.where(lambda s: s.split == "validation")), work, Silent())


@pytest.fixture(scope="module", params=TRAINED)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Trained]:
    name = str(request.param)
    root = tmp_path_factory.mktemp(name)
    task, params = tiny_task(name), tiny_params(name, 7)
    task.sample(root / "sample", Silent())
    manifest = task.load(root / "sample")
    data = apply_splits(manifest, assign(manifest.samples, params.data), params.data.folds)
    test = data.where(lambda s: s.split != "train")
    found = []
    for candidate in params.candidates:
        fresh = fit(task, candidate, data, root / "work")
        folder = root / candidate
        folder.mkdir()
        fresh.save(folder)
        model = type(task).restore(folder)  # from the directory alone, without parameters
        rows = list(task.evaluate(model, test, Silent()))
        found.append(Trained(task, params.promotion.metric, candidate, fresh, folder, model, test, rows))
    return found


def answers(task: Task, model: Model, manifest: Manifest) -> list[Prediction]:
    return model.predict([model.read(task.source(manifest, sample), Limits()) for sample in manifest.samples])


def content_of(one: Trained, sample: Sample) -> bytes:
    """As a client would send it: of a folder of frames a ZIP."""
    source = one.task.source(one.data, sample)
    if isinstance(source, bytes):
        return source
    if not source.is_dir():
        return source.read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for role, file in sample.files.items():
            if role.startswith("frame"):
                archive.write(one.data.root / sample.set / file, f"{role}.png")
    return packed.getvalue()


def assert_alike(found: Mapping[str, float | int | str], wanted: Mapping[str, float | int | str]) -> None:
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert found[key] == (pytest.approx(value, rel=1e-3, abs=1e-3) if isinstance(value, float) else value), key


def plain(prediction: Prediction) -> tuple[Any, ...]:
    return dict(prediction.row), prediction.document, prediction.embedding.tolist()


def test_a_saved_model_is_a_card_and_weights_without_pickle(trained: list[Trained]) -> None:
    for one in trained:
        card = one.model.card
        assert (card.task, card.candidate) == (one.task.name, one.candidate)
        assert card.classes
        assert card.formats
        files = {path.relative_to(one.folder).as_posix() for path in one.folder.rglob("*") if path.is_file()}
        assert files == {"card.json", *card.files}
        assert {Path(name).suffix for name in files} <= {".json", ".onnx", ".safetensors", ".npz"}
        for name, digest in card.files.items():
            assert sha256((one.folder / name).read_bytes()).hexdigest() == digest


def test_a_restored_model_answers_like_the_trained_one(trained: list[Trained]) -> None:
    for one in trained:
        few = Manifest(one.data.root, one.data.samples[:3])
        for fresh, again in zip(answers(one.task, one.fresh, few), answers(one.task, one.model, few), strict=True):
            assert_alike(again.row, fresh.row)


def test_saving_a_restored_model_changes_nothing(trained: list[Trained], tmp_path: Path) -> None:
    for one in trained:
        folder = tmp_path / one.candidate
        folder.mkdir()
        one.model.save(folder)
        for path in one.folder.rglob("*"):
            if path.is_file():
                assert (folder / path.relative_to(one.folder)).read_bytes() == path.read_bytes()


def test_a_changed_weight_file_is_refused(trained: list[Trained], tmp_path: Path) -> None:
    for one in trained:
        for name in one.model.card.files:
            folder = tmp_path / one.candidate / name.replace("/", "-")
            folder.mkdir(parents=True)
            one.model.save(folder)
            data = bytearray((folder / name).read_bytes())
            data[len(data) // 2] ^= 1
            (folder / name).write_bytes(data)
            with pytest.raises(ModelRejected, match=name):
                one.task.restore(folder)


def test_rows_are_one_a_sample_in_order_and_survive_storing(trained: list[Trained], tmp_path: Path) -> None:
    for one in trained:
        assert [row.key for row in one.rows] == [sample.key for sample in one.data.samples]
        for row, sample in zip(one.rows, one.data.samples, strict=True):
            assert (row.sha256, row.group, row.stratum) == (sample.sha256, sample.group, sample.stratum)
        save_rows(one.rows, tmp_path / "rows.jsonl")
        stored = load_rows(tmp_path / "rows.jsonl")
        ones = np.ones(len(stored))
        assert one.task.score(stored, ones) == pytest.approx(one.task.score(one.rows, ones), nan_ok=True)
        assert len({(*row.row, len(row.embedding)) for row in one.rows}) == 1


def test_weights_count_how_often_a_row_is_drawn(trained: list[Trained]) -> None:
    for one in trained:
        random = np.random.default_rng(3)
        for _ in range(5):
            drawn = random.integers(0, len(one.rows), len(one.rows))
            weights = np.bincount(drawn, minlength=len(one.rows)).astype(np.float64)
            weighted = one.task.score(one.rows, weights)
            repeated = one.task.score([one.rows[index] for index in drawn], np.ones(len(drawn)))
            assert weighted == pytest.approx(repeated, nan_ok=True, abs=1e-9)
        assert one.metric in weighted


def test_it_answers_its_own_example_so_that_an_endpoint_can_warm_it(trained: list[Trained]) -> None:
    for one in trained:
        example = one.model.example()
        assert example == one.model.example()
        read = one.model.read(example, Limits())
        assert len(one.model.predict([read, read])) == 2


def test_it_weighs_an_input_by_its_head(trained: list[Trained]) -> None:
    for one in trained:
        model, sample = one.model, one.data.samples[0]
        content = content_of(one, sample)
        cost = model.weigh(content, Limits(), {})
        assert cost == model.weigh(one.task.source(one.data, sample), Limits(), {})
        assert min(*cost.size, cost.decoded_px, cost.seen_px) > 0
        assert cost.held_bytes >= 3 * math.prod(cost.size)  # the decoded picture at least
        with pytest.raises(DataRejected):
            model.weigh(b"not what it says", Limits(), {})


def test_larger_inputs_weigh_more(trained: list[Trained]) -> None:
    for one in trained:
        small, large = (one.model.weigh(noise(one, side), Limits(), {}) for side in (512, 1024))
        assert (small.size, large.size) == ((512, 512), (1024, 1024))
        assert small.decoded_px < large.decoded_px
        assert small.seen_px <= large.seen_px
        assert small.held_bytes < large.held_bytes


def test_it_stops_when_nobody_waits_for_the_answer(trained: list[Trained]) -> None:
    """What looks at one window only, as at a thermogram, may come to its end."""
    for one in trained:
        large = one.model.read(noise(one, 1024), Limits())
        with stoppable(lambda: True), suppress(Stopped):
            one.model.predict([large])
            assert one.task.name in ("pv_hotspots", "bright_spots")


def noise(one: Trained, side: int) -> bytes:
    """An image without anything in it that this task reads."""
    bands, high = {"land_cover": (8, 2047), "solar_farms": (13, 5000)}.get(one.task.name, (3, 255))
    return noise_picture(bands, side, side, high)


def test_answers_do_not_depend_on_the_batch_nor_on_path_or_bytes(trained: list[Trained]) -> None:
    for one in trained:
        few = Manifest(one.data.root, one.data.samples[:3])
        together = answers(one.task, one.model, few)
        for sample, among_others in zip(few.samples, together, strict=True):
            asked = one.model.read(one.task.source(one.data, sample), Limits())
            assert isinstance(asked, Input)
            assert asked.sha256 == sample.sha256
            told = getattr(asked, "conditions", {})  # by what lies beside a folder; bytes have nothing beside them
            source = put_under(one.model, one.model.read(content_of(one, sample), Limits()), told)
            alone = one.model.predict([source])[0]
            assert_alike(alone.row, among_others.row)


def test_an_answer_can_be_logged_sent_and_drawn(trained: list[Trained]) -> None:
    for one in trained:
        source = one.model.read(one.task.source(one.data, one.data.samples[0]), Limits())
        answer = one.model.predict([source])[0]
        assert {f"input_{name}" for name in source.statistics} <= set(answer.row)
        assert any(name.startswith("output_") for name in answer.row)
        assert all(not isinstance(value, float) or math.isfinite(value) for value in answer.row.values())
        assert all(json.dumps(document, allow_nan=False) for document in (answer.document, *answer.exports.values()))
        assert answer.embedding.dtype == np.float32
        assert answer.embedding.ndim == 1
        assert np.isfinite(answer.embedding).all()
        picture = one.model.draw(source, answer)
        assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)


def test_a_model_that_streams_says_the_same_of_frames_as_of_their_clip(trained: list[Trained]) -> None:
    for one in trained:
        if isinstance(one.model, Streaming):
            sample = one.data.samples[0]
            clip = one.model.read(one.task.source(one.data, sample), Limits())
            assert_streams(one.model, clip, list(open_frames(str(one.task.source(one.data, sample)), Limits())))


def test_an_answer_is_what_its_type_says(trained: list[Trained]) -> None:
    """So that clients, which are told of the type, find each key that it names and no other."""
    for one in trained:
        for found in answers(one.task, one.model, Manifest(one.data.root, one.data.samples[:3])):
            answer_of(one.task.name).model_validate_json(json.dumps(found.document), strict=True, extra="forbid")


def test_plots_are_curves_matrices_or_tables(trained: list[Trained]) -> None:
    for one in trained:
        for name, plot in one.task.plots(one.rows).items():
            assert json.dumps(plot, allow_nan=False), name
            if "matrix" in plot:
                assert {len(row) for row in plot["matrix"]} == {len(plot["matrix"])} == {len(plot["labels"])}
            elif "columns" in plot:
                assert {len(row) for row in plot["rows"]} == {len(plot["columns"])}
            else:
                assert len(plot["x"]) == len(plot["y"])
                assert plot["xlabel"]
                assert plot["ylabel"]


def test_bad_input_is_refused_by_name(trained: list[Trained], tmp_path: Path) -> None:
    one = trained[0]
    whole = content_of(one, one.data.samples[0])
    suffix = one.data.path(one.data.samples[0]).suffix
    for number, broken in enumerate((b"", b"not what it says", whole[: len(whole) // 2])):
        path = tmp_path / f"broken-{number}{suffix}"
        path.write_bytes(broken)
        with pytest.raises(DataRejected, match=path.name):
            one.model.read(path, Limits())
        with pytest.raises(DataRejected):
            one.model.read(broken, Limits())
    with pytest.raises(DataError, match="absent"):
        one.model.read(tmp_path / f"absent{suffix}", Limits())
    for limits in (Limits(bytes=100), Limits(pixels=100)):
        with pytest.raises(DataRejected):
            one.model.read(whole, limits)


def test_the_same_seed_gives_the_same_model(trained: list[Trained], tmp_path: Path) -> None:
    one = trained[0]
    data = one.task.load(one.data.root / "sample")
    params = tiny_params(one.task.name, 7)
    placed = apply_splits(data, assign(data.samples, params.data), params.data.folds)
    again = fit(one.task, one.candidate, placed, tmp_path / "work")
    few = Manifest(one.data.root, one.data.samples[:3])
    assert [plain(p) for p in answers(one.task, again, few)] == [plain(p) for p in answers(one.task, one.fresh, few)]
