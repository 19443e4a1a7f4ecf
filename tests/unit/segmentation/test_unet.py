"""The networks: their skips lie on the picture's grid, and their graphs answer what they answer."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.graphs import open_session
from sightline.segmentation.unet import ENCODERS, build_inception, build_unet, export_unet

NARROW = (32, 16, 16, 8, 8)

pytestmark = pytest.mark.slow  # torch takes seconds to load


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("bands", [3, 13])
def test_a_network_answers_each_pixel_of_its_input(encoder, bands):
    import torch

    network = build_unet(encoder, bands, 4, NARROW).eval()
    with torch.inference_mode():
        logits, embedding = network(torch.zeros(2, bands, 64, 96))
    assert logits.shape == (2, 4, 64, 96)
    assert embedding.ndim == 2


def test_inception_halves_every_side_exactly():
    import torch

    with torch.inference_mode():
        features = build_inception(3).eval()(torch.zeros(1, 3, 288, 224))
    assert [feature.shape[2:] for feature in features] == [
        torch.Size((288 // stride, 224 // stride)) for stride in (1, 2, 4, 8, 16, 32)
    ]


def settled(encoder, classes):
    """A network whose batch norms know the size of what they see, as after some training."""
    import torch

    torch.manual_seed(3)
    network = build_unet(encoder, 3, classes, NARROW).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over the batches, not a moving one
    with torch.no_grad():
        network(torch.rand(4, 3, 128, 128))
    return network.eval()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_shifted_picture_gives_the_same_mask_shifted(encoder):
    """By the deepest stride, so far from the border that it is out of reach (InceptionV3 sees 1,311 pixels)."""
    import torch

    network = settled(encoder, 3)
    picture = torch.rand(1, 3, 1536, 1536)
    with torch.inference_mode():
        whole, _ = network(picture)
        shifted, _ = network(torch.roll(picture, (32, 32), dims=(2, 3)))
    middle, moved = slice(736, 800), slice(736 + 32, 800 + 32)
    assert torch.allclose(whole[..., middle, middle], shifted[..., moved, moved], atol=1e-5)


def test_the_deepest_features_of_inception_are_centred_on_their_pixels():
    """An impulse lights up the cells around it alike on both sides; unpadded convolutions would favour one."""
    import torch

    encoder = build_inception(1).eval()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
    picture = torch.zeros(1, 1, 512, 512)
    picture[..., 256, 256] = 1e6
    with torch.inference_mode():
        features = encoder(picture)
    for feature, stride in zip(features[1:], (2, 4, 8, 16, 32), strict=True):
        light = feature[0].double().sum(dim=0)
        along = torch.arange(light.shape[0], dtype=torch.float64)
        centre = float((light.sum(dim=0) * along).sum() / light.sum())
        assert centre == pytest.approx(256 / stride, abs=0.02)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_graph_answers_as_the_network_does(encoder):
    import torch

    network = settled(encoder, 5)
    windows = np.random.default_rng(0).random((3, 3, 64, 64), dtype=np.float32)
    with torch.inference_mode():
        logits, embedding = network(torch.from_numpy(windows))
    answer = open_session(export_unet(network, 3, 64, "softmax")).run(None, {"image": windows})
    assert np.allclose(answer[0], logits.softmax(dim=1).numpy(), atol=1e-4)
    assert np.allclose(answer[1], embedding.numpy(), rtol=1e-3, atol=1e-3)
