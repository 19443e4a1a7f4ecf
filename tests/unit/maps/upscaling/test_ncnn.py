"""Weights in ncnn's format are read to the last bit; what is not of the format is refused with a word that helps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.errors import ModelRejected
from sightline.maps.upscaling.ncnn import HALF, SINGLE, read_convolutions, read_layers
from tests.unit.maps.upscaling.ncnn_files import drawn_chain

SMALL = drawn_chain((4, 3, 3), (3, 4, 1))
"""The second one has three times four weights in half precision, the first is padded to a multiple of four bytes."""

sizes = st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3, 5]))


@given(st.lists(sizes, min_size=1, max_size=5), st.sampled_from([HALF, SINGLE]), st.integers(0, 2**32))
def test_what_was_written_is_read(shapes, tag, seed):
    chain = drawn_chain(*shapes, seed=seed)
    found = read_convolutions(chain.text, chain.weights(tag), "made")
    assert [one.name for one in found] == [f"conv_{number}" for number in range(len(shapes))]
    for one, (weight, bias) in zip(found, chain.layers, strict=True):
        np.testing.assert_array_equal(one.weight, weight)
        np.testing.assert_array_equal(one.bias, bias)
        assert one.weight.dtype == one.bias.dtype == np.float32


def test_layers_without_weights_lie_between():
    text = b"""7767517
5 7
Input     in   0 1 data
Split     two  1 2 data a b
Convolution conv 1 1 a c 0=3 1=3 4=1 5=1 6=81
Eltwise   sum  2 1 c b d 0=1 -23301=2,2.000000e-01,1.000000e+00
Split     end  1 2 d e f
"""
    chain = drawn_chain((3, 3, 3))
    (one,) = read_convolutions(text, chain.weights(), "made")
    np.testing.assert_array_equal(one.weight, chain.layers[0][0])
    assert [layer.kind for layer in read_layers(text, "made")] == ["Input", "Split", "Convolution", "Eltwise", "Split"]


def changed(before: bytes, after: bytes) -> bytes:
    assert before in SMALL.text
    return SMALL.text.replace(before, after, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "begin with 7767517"),
        (b"7767517", "begin with 7767517"),
        (changed(b"7767517", b"7767516"), "begin with 7767517"),
        (b"\xff" + SMALL.text, "not ASCII"),
        (changed(b"3 3", b"4 3"), "line 2 says '4 3', and there are 3 layers with 3 blobs"),
        (changed(b"3 3", b""), "line 2 says ''"),
        (changed(b"Input in 0 1 data", b"Input in 0"), "made, line 3: this is no layer"),
        (changed(b"Input in 0 1 data", b"Input in 0 one data"), "no layer"),
        (changed(b"Input in 0 1 data", b"Input in -1 2 data"), "names fewer blobs"),
        (changed(b"Input in 0 1 data", b"Input in 0 9 data"), "names fewer blobs"),
        (changed(b"Input in", b"Python in"), "the kind 'Python' are not read"),
        (changed(b"1 1 b0 b1", b"1 1 b7 b1"), "conv_1 takes b7, which no layer before it makes"),
        (changed(b"1 1 b0 b1", b"1 1 b0 b0"), "conv_1 makes a blob that is there already"),
        (changed(b"9=2", b"3=2"), "has the option 3, which is not read"),
        (changed(b"9=2", b"0=2"), "an option is given twice"),
        (changed(b"9=2", b"x=2"), "no layer"),
        (changed(b"0=4", b"0=0"), "0 outputs"),
        (changed(b"0=4", b"0=5"), "108 weights for 5 outputs of 3 x 3"),
        (changed(b"0=4", b"0=-4"), "'-4', not a number"),
        (changed(b"0=4", b"0=99999999999"), "not a number"),
        (changed(b"6=108", b""), "the option 6 of conv_0 is '', not a number"),
        (changed(b"4=1", b"4=0"), "another padding than 1"),
        (changed(b"5=1", b"5=0"), "no bias"),
        (changed(b"6=108", b"6=999999972"), "end within those of conv_0"),
    ],
)  # fmt: skip
def test_other_texts_are_refused(text, words):
    with pytest.raises(ModelRejected, match=words) as caught:
        read_convolutions(text, SMALL.weights(), "made")
    assert "Get both files again" in str(caught.value)


@pytest.mark.parametrize("kept", [0, 3, 4, 100, 219, 220, 236, 239, -1])
def test_truncated_weights_are_refused(kept):
    with pytest.raises(ModelRejected, match=r"end within those of conv_[01]"):
        read_convolutions(SMALL.text, SMALL.weights()[:kept], "made")


def test_weights_that_belong_to_no_layer_are_refused():
    with pytest.raises(ModelRejected, match="4 bytes of weights belong to no layer"):
        read_convolutions(SMALL.text, SMALL.weights() + bytes(4), "made")


@pytest.mark.parametrize("tag", [0x000D4B38, 0x0002C056, 1])
def test_other_precisions_are_refused(tag):
    with pytest.raises(ModelRejected, match=f"conv_0 have the unknown tag 0x{tag:08X}"):
        read_convolutions(SMALL.text, tag.to_bytes(4, "little") + SMALL.weights()[4:], "made")


@settings(max_examples=200)
@given(st.data())
def test_rubbish_is_read_or_refused_and_nothing_else(data):
    """Some bytes changed, taken out or put in."""
    text, weights = bytearray(SMALL.text), bytearray(SMALL.weights())
    for content in (text, weights):
        for _ in range(data.draw(st.integers(0, 3))):
            at = data.draw(st.integers(0, len(content)))
            content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        found = read_convolutions(bytes(text), bytes(weights), "made")
    except ModelRejected:
        return
    assert sum(one.weight.size + one.bias.size for one in found) * 2 <= len(weights)
