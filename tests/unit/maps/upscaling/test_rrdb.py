"""RRDBNet: weights of the published layout load, anything else is refused with a word that helps."""

from __future__ import annotations

import collections
import hashlib
import io
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch

from sightline.errors import ModelMissing, ModelRejected
from sightline.maps.upscaling import rrdb
from sightline.maps.upscaling.rrdb import build_rrdb, load_strictly, open_rrdb, read_weights


def published_shapes(blocks=23):
    """Name -> shape, written down from the published architecture (3, 3, 64, 23, 32), not from the network here."""
    shapes = {}

    def convolution(name, inputs, outputs):
        shapes[f"{name}.weight"] = (outputs, inputs, 3, 3)
        shapes[f"{name}.bias"] = (outputs,)

    convolution("conv_first", 3, 64)
    for block in range(blocks):
        for dense in ("rdb1", "rdb2", "rdb3"):
            for number, inputs in enumerate((64, 96, 128, 160), start=1):
                convolution(f"body.{block}.{dense}.conv{number}", inputs, 32)
            convolution(f"body.{block}.{dense}.conv5", 192, 64)
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        convolution(name, 64, 64)
    convolution("conv_last", 64, 3)
    return shapes


def published_state():
    rng = torch.Generator().manual_seed(0)
    return {name: 0.02 * torch.randn(shape, generator=rng) for name, shape in published_shapes().items()}


def written(path: Path, document) -> tuple[Path, str]:
    """A `.pth` file and its SHA-256."""
    buffer = io.BytesIO()
    torch.save(document, buffer)
    return put(path, buffer.getvalue())


def put(path: Path, content: bytes) -> tuple[Path, str]:
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


SMALL = {"conv.weight": torch.ones(2, 2), "conv.bias": torch.zeros(2, dtype=torch.float16)}


def test_the_network_has_the_published_tensors():
    state = build_rrdb().state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == published_shapes()
    assert len(state) == 702
    assert sum(value.numel() for value in state.values()) == 16_697_987


def test_the_published_layout_loads_and_runs(tmp_path):
    state = published_state()
    path, digest = written(tmp_path / "RealESRGAN_x4plus.pth", {"params_ema": state})
    network = open_rrdb(path, digest.upper())  # publishers write either case
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 6, 5)).shape == (1, 3, 24, 20)


def test_the_arithmetic_is_that_of_the_paper():
    """A second implementation by hand, of one block, straight from the equations."""
    torch.manual_seed(3)
    network = build_rrdb(blocks=1)
    weights = network.state_dict()
    image = torch.rand(1, 3, 5, 7)

    def convolve(name, values):
        return torch.nn.functional.conv2d(values, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)

    def leaky(values):
        return torch.where(values > 0, values, 0.2 * values)

    def dense(name, values):
        seen = [values]
        for number in range(1, 5):
            seen.append(leaky(convolve(f"{name}.conv{number}", torch.cat(seen, 1))))
        return values + 0.2 * convolve(f"{name}.conv5", torch.cat(seen, 1))

    def twice(values):
        return values.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    with torch.inference_mode():
        first = convolve("conv_first", image)
        block = first
        for name in ("rdb1", "rdb2", "rdb3"):
            block = dense(f"body.0.{name}", block)
        features = first + convolve("conv_body", first + 0.2 * block)
        features = leaky(convolve("conv_up1", twice(features)))
        features = leaky(convolve("conv_up2", twice(features)))
        by_hand = convolve("conv_last", leaky(convolve("conv_hr", features)))
        torch.testing.assert_close(network(image), by_hand, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wrap", [lambda s: {"params_ema": s, "params": {}}, lambda s: {"params": s}, lambda s: s])
def test_state_dicts_are_found_where_they_are_published(tmp_path, wrap):
    found = read_weights(*written(tmp_path / "w.pth", wrap(SMALL)))
    assert set(found) == set(SMALL)
    assert {value.dtype for value in found.values()} == {torch.float32}


def test_safetensors_are_told_by_their_content(tmp_path):
    found = read_weights(*put(tmp_path / "w.pth", safetensors.torch.save(SMALL)))
    assert torch.equal(found["conv.weight"], SMALL["conv.weight"])


def test_another_sha256_is_refused_before_the_file_is_parsed(tmp_path):
    path, digest = written(tmp_path / "w.pth", SMALL)
    with pytest.raises(ModelRejected, match=f"SHA-256 is {digest}, not {'0' * 64}"):
        read_weights(path, "0" * 64)
    with pytest.raises(ModelRejected, match="none given"):
        read_weights(path, "")


def test_missing_unknown_and_misshapen_tensors_are_named():
    network = build_rrdb(blocks=1)
    state = dict(network.state_dict())
    bias = state.pop("conv_up2.bias")
    with pytest.raises(ModelRejected, match=r"w\.pth: the state dict lacks conv_up2\.bias"):
        load_strictly(network, state, "w.pth")
    with pytest.raises(ModelRejected, match=r"has unknown body\.9\.rdb1\.conv1\.bias"):
        load_strictly(network, state | {"conv_up2.bias": bias, "body.9.rdb1.conv1.bias": bias}, "w.pth")
    with pytest.raises(ModelRejected, match=r"another shape conv_up2\.bias"):
        load_strictly(network, state | {"conv_up2.bias": bias[:5]}, "w.pth")
    with pytest.raises(ModelRejected, match=r"NaN or infinity in conv_up2\.bias"):
        load_strictly(network, state | {"conv_up2.bias": bias / 0}, "w.pth")


def test_a_network_of_another_size_is_refused(tmp_path):
    path, digest = written(tmp_path / "w.pth", {"params_ema": build_rrdb(blocks=6).state_dict()})
    with pytest.raises(ModelRejected, match=r"lacks body\.6\.rdb1\.conv1\.weight, .* and 507 more") as caught:
        open_rrdb(path, digest)
    assert "702 tensors" in str(caught.value)


class Code:
    """What a malicious file holds."""

    def __reduce__(self):
        return Path.touch, (Path("ran"),)


@pytest.mark.parametrize("protocol", [2, 4])
def test_code_in_a_pickle_is_never_run(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    bare = put(tmp_path / "bare.pth", pickle.dumps({"conv.weight": Code()}, protocol=protocol))
    zipped = written(tmp_path / "zipped.pth", {"params_ema": SMALL | {"code": Code()}})
    for file in (bare, zipped):
        with pytest.raises(ModelRejected, match=r"other things than tensors|broken or no weights"):
            read_weights(*file)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kept", [0, 1, 40, -1, -300])
@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_truncated_files_are_refused(tmp_path, kind, kept):
    path, _ = written(tmp_path / "w", SMALL) if kind == "torch" else put(tmp_path / "w", safetensors.torch.save(SMALL))
    whole = path.read_bytes()
    with pytest.raises(ModelRejected, match=r"broken|other things than tensors"):
        read_weights(*put(path, whole[:kept] if kept < len(whole) else whole[:1]))


@pytest.mark.parametrize("document", [{}, [1, 2], {"params_ema": {}}, {"w": 3}, {3: torch.ones(1)}, torch.ones(2)])
def test_what_is_no_state_dict_is_refused(tmp_path, document):
    with pytest.raises(ModelRejected, match="state dict"):
        read_weights(*written(tmp_path / "w.pth", document))


def test_an_ordered_dict_is_a_state_dict(tmp_path):
    assert set(read_weights(*written(tmp_path / "w.pth", collections.OrderedDict(SMALL)))) == set(SMALL)


def test_absent_huge_and_other_files(tmp_path, monkeypatch):
    with pytest.raises(ModelMissing, match="the file of weights does not exist"):
        read_weights(tmp_path / "absent.pth", "0" * 64)
    with pytest.raises(ModelRejected, match="no file of"):
        read_weights(tmp_path, "0" * 64)
    monkeypatch.setattr(rrdb, "MAX_BYTES", 10)
    with pytest.raises(ModelRejected, match="10 bytes at most"):
        read_weights(*written(tmp_path / "w.pth", SMALL))
