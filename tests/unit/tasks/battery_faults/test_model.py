"""A model of the rule on drawn videos: answers in words and numbers, drawn, filmed, and bounded in memory."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, replace

import av
import numpy as np
import pytest
from PIL import Image

from sightline.capabilities import Filming, Frame, Marking, Streaming
from sightline.errors import DataRejected, ParamsError
from sightline.limits import Limits
from sightline.tasks.battery_faults import history
from sightline.tasks.battery_faults.answer import Answer, FrameAnswer
from sightline.tasks.battery_faults.drawing import FAULTY
from sightline.tasks.battery_faults.frames import ZippedPictures
from sightline.tasks.battery_faults.model import KIND, BatteryModel, Recipe
from sightline.tasks.battery_faults.params import Params
from tests.contract.streaming import assert_same
from tests.parameters import params_of
from tests.unit.tasks.battery_faults.scenes import backdrop, pack_picture

RULE = params_of("battery_faults", Params).train.rule
QUIET = (0.0, 0.0, 0.0)
GROWING = [QUIET, QUIET, QUIET, (0.0, 4.0, 0.0), (0.0, 6.0, 0.0), (0.0, 7.0, 0.0)]


@pytest.fixture(scope="module")
def model():
    recipe = Recipe(method="rule", rule=RULE)
    return BatteryModel(KIND.make_card("rule", recipe, {}, {"healthy": 0.4, "faulty": 0.6}, {}), {})


@pytest.fixture(scope="module")
def pictures():
    return [pack_picture(0.0, rises)[0] for rises in GROWING]


def zipped(pictures):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, picture in enumerate(pictures):
            content = io.BytesIO()
            Image.fromarray(picture).save(content, "PNG")
            archive.writestr(f"{number:04d}.png", content.getvalue())
    return packed.getvalue()


def test_a_fault_is_told_with_cell_rise_onset_and_temperatures(model, pictures):
    prediction = model.predict([model.read(zipped(pictures), Limits())])[0]
    answer = Answer.model_validate(prediction.document)
    assert (answer.verdict, answer.cell, answer.scale) == ("faulty", 2, "colour_bar")
    assert answer.since_frame == 4  # the second frame in a row that shows it
    fault = answer.faults[0]
    assert (fault.cell, fault.onset_frame) == (2, 3)
    assert 3 < fault.rise_k < 7  # a high percentile of the cell, not its warmest pixel
    assert [row[0] for row in answer.temperatures.kelvin] == pytest.approx([300.0] * 6, abs=0.3)
    assert prediction.found == answer.said
    assert prediction.findings[0].severity == "medium"
    tracks = json.loads(json.dumps(prediction.exports["ytvis.json"]))
    assert [mask is not None for mask in tracks[0]["segmentations"]] == [False] * 3 + [True] * 3


def test_what_cannot_be_told_is_said_with_its_reason(model):
    blank = model.predict([model.read(zipped([backdrop(208, 536)] * 3), Limits())])[0]
    assert (blank.document["verdict"], blank.document["reason"]) == ("cannot_say", "no_scale")
    assert blank.found.startswith("cannot say: no frame tells temperatures")
    assert blank.document["scale"] == "none"


def test_the_answer_is_drawn_and_filmed_for_an_operator(model, pictures, tmp_path):
    clip = model.read(zipped(pictures), Limits())
    prediction = model.predict([clip])[0]
    drawn = model.draw(clip, prediction)
    assert (np.abs(drawn.astype(int) - FAULTY).max(axis=-1) <= 2).any()
    assert isinstance(model, Filming)
    filmed, picture = model.film(clip, tmp_path / "film.mp4")
    assert_same(filmed, prediction)
    assert (picture == drawn).all()
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert film.streams.video[0].codec_context.name == "h264"
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == len(pictures)
    red = [float(frame[:20, :40].mean(axis=(0, 1))[0]) for frame in frames]
    assert red[0] < 120 < red[-1]  # the banner goes from green to red


@dataclass
class Counted:
    """A source that counts the frames that are read of another."""

    source: ZippedPictures
    read: int = 0

    def extent(self):
        return self.source.extent()

    def shots(self):
        for shot in self.source.shots():
            self.read += 1
            yield shot


def test_answer_picture_and_film_take_one_pass_over_the_video(model, pictures, tmp_path):
    source = Counted(ZippedPictures("a.zip", zipped(pictures), Limits()))
    clip = replace(model.read(zipped(pictures), Limits()), _source=source)
    filmed, picture = model.film(clip, tmp_path / "film.mp4")
    assert source.read == len(pictures)
    told, same_picture = model.predict_drawn(clip)
    assert source.read == 2 * len(pictures)
    assert_same(told, filmed)
    assert (same_picture == picture).all()


def test_each_frame_of_a_stream_is_answered_and_marked(model, pictures):
    assert isinstance(model, Streaming)
    assert isinstance(model, Marking)
    session = model.open({})
    answers = [session.push(Frame(picture, number)) for number, picture in enumerate(pictures)]
    verdicts = [FrameAnswer.model_validate(one.document).verdict for one in answers]
    assert verdicts[-1] == "faulty"
    assert "faulty" not in verdicts[:4]
    marked = model.mark(Frame(pictures[-1], 5), answers[-1])
    assert (np.abs(marked[26:].astype(int) - FAULTY).max(axis=-1) <= 2).any()


def test_a_frame_of_another_size_is_refused_and_changes_nothing(model, pictures):
    session = model.open({})
    for number, picture in enumerate(pictures):
        session.push(Frame(picture, number))
    with pytest.raises(DataRejected, match="536"):
        session.push(Frame(pictures[0][:100], 6))
    assert session.close().document["verdict"] == "faulty"


def test_a_long_video_keeps_no_more_than_it_may(model, pictures, monkeypatch):
    monkeypatch.setattr(history, "MOST", 8)
    session = model.open({})
    for number in range(40):
        session.push(Frame(pictures[min(number // 5, 5)], number, number / 25))
    answer = Answer.model_validate(session.close().document)
    assert answer.video.frames == 40
    assert answer.video.every == 8
    assert answer.temperatures.frames == [0, 8, 16, 24, 32]
    assert answer.temperatures.times_s[-1] == pytest.approx(32 / 25)
    assert answer.verdict == "faulty"


def test_the_threshold_can_be_changed_and_healthy_stays_below_it(model, pictures):
    strict = model.adjusted({"threshold": 0.2})
    assert (strict.thresholds.faulty, strict.thresholds.healthy) == (0.2, 0.2)
    with pytest.raises(ParamsError):
        model.adjusted({"threshold": 2.0})
