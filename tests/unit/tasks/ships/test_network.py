"""The dense network answers what the classifier of single windows answers, at every step."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

from sightline.errors import ParamsError
from sightline.tasks.ships.network import (
    IGNORED,
    UNKNOWN,
    build_network,
    export_network,
    freeze_features,
    load_weights,
    window_loss,
)
from sightline.vision.graphs import open_session

pytestmark = pytest.mark.slow  # torch takes seconds to load


def settled(pooled_px, stride_px, size="convnext_atto", seed=0):
    """A network whose blocks count for something; freshly drawn ones are scaled to nearly nothing."""
    import torch

    torch.manual_seed(seed)
    network = build_network(size, pooled_px, stride_px).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("gamma"):
            torch.nn.init.constant_(parameter, 0.5)
    return network


def picture(height, width, seed=1):
    import torch

    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def answered(network, image):
    import torch

    with torch.inference_mode():
        return network(image)[0].numpy()


def test_an_isolated_window_is_answered_as_by_timms_classifier():
    network = settled(224, 32)
    window = picture(224, 224)
    assert answered(network, window).shape == (1, 2, 1, 1)
    import torch

    with torch.inference_mode():
        expected = network.body(window).numpy()
    np.testing.assert_allclose(answered(network, window)[..., 0, 0], expected, atol=1e-5)


@pytest.mark.parametrize("pooled_px", [32, 96])
def test_finer_steps_add_windows_and_change_none(pooled_px):
    image = picture(192, 256)
    coarse = answered(settled(pooled_px, 32), image)
    for stride_px in (8, 16):
        fine = answered(settled(pooled_px, stride_px), image)
        cells = [(side - pooled_px) // stride_px + 1 for side in (192, 256)]
        assert fine.shape[2:] == tuple(cells)
        np.testing.assert_allclose(fine[:, :, :: 32 // stride_px, :: 32 // stride_px], coarse, atol=1e-5)


def test_a_window_between_is_that_of_the_shifted_picture():
    """Far from the border, which the shift moves: within the little that reaches so far."""
    import torch

    image = picture(768, 768)
    fine, coarse = settled(32, 8), settled(32, 32)
    shifted = answered(coarse, torch.roll(image, (-8, -16), dims=(2, 3)))
    between = answered(fine, image)[:, :, 1::4, 2::4]
    middle = slice(10, 13)
    np.testing.assert_allclose(between[..., middle, middle], shifted[..., middle, middle], atol=0.02)


@pytest.mark.parametrize(("pooled_px", "stride_px"), [(32, 8), (96, 16)])
def test_the_graph_answers_any_size_as_the_network_does(pooled_px, stride_px):
    network = settled(pooled_px, stride_px)
    session = open_session(export_network(network), 1)
    for height, width in ((96, 160), (224, 224)):
        image = picture(height, width)
        logit, embedding = session.run(None, {"image": image.numpy()})
        expected = answered(network, image)
        np.testing.assert_allclose(logit, expected[:, 1] - expected[:, 0], atol=1e-4)
        assert embedding.shape == (1, 320)


def test_the_base_network_of_the_reference_recipe_learns():
    import torch

    torch.manual_seed(0)
    network = build_network("convnext_base", 224, 32)
    logits, embedding = network(picture(224, 224).repeat(2, 1, 1, 1))
    assert (logits.shape, embedding.shape) == (torch.Size([2, 2, 1, 1]), torch.Size([2, 1024]))
    truth = torch.full((2, 2, 1, 1), UNKNOWN)
    truth[:, 0, 0, 0] = torch.tensor([0.0, 1.0])
    window_loss(0.1, 1.0)(logits, truth).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_only_the_head_learns_while_the_features_are_frozen():
    network = build_network("convnext_atto", 32, 16)
    freeze_features(network, True)
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert learning == {name for name, _ in network.named_parameters() if "head" in name}
    freeze_features(network, False)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_published_weights_are_taken_but_for_the_last_layer(tmp_path):
    import timm
    import torch
    from safetensors.torch import save_file

    published = timm.create_model("convnext_atto", pretrained=False, num_classes=1000)
    path = tmp_path / "atto.safetensors"
    save_file(published.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    network = build_network("convnext_atto", 32, 16)
    assert load_weights(network, "convnext_atto", {"convnext_atto": str(path)}, {"convnext_atto": digest})
    assert torch.equal(network.body.stem[0].weight, published.stem[0].weight)
    assert network.body.head.fc.weight.shape[0] == 2
    assert not load_weights(network, "convnext_atto", {}, {})


@pytest.mark.parametrize("wrong", ["absent", "digest", "size", "bytes"])
def test_weights_that_are_not_those_are_refused(tmp_path, wrong):
    import timm
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model("convnext_femto", pretrained=False).state_dict(), path)
    if wrong == "bytes":
        path.write_bytes(b"these are none")
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if wrong != "digest" else "0" * 64
    if wrong == "absent":
        path.unlink()
    network = build_network("convnext_atto", 32, 16)
    with pytest.raises(ParamsError, match="weights"):
        load_weights(network, "convnext_atto", {"convnext_atto": str(path)}, {"convnext_atto": digest})


def test_the_loss_looks_at_ships_and_the_hardest_of_the_others():
    import torch

    logits = torch.zeros(1, 2, 2, 3)
    logits[0, 1, 0] = torch.tensor([3.0, -3.0, 0.0])  # a ship that is found, water that is told, water at a half
    truth = torch.full((1, 2, 2, 3), UNKNOWN)
    truth[0, 0] = torch.tensor([[1, 0, 0], [IGNORED, IGNORED, IGNORED]])
    found = float(np.log1p(np.exp(-3.0)))
    assert float(window_loss(0.0, 0.5)(logits, truth)) == pytest.approx((found + math.log(2)) / 2, rel=1e-5)
    both = (found + (found + math.log(2)) / 2) / 2
    assert float(window_loss(0.0, 1.0)(logits, truth)) == pytest.approx(both, rel=1e-5)
    truth[0, 0] = IGNORED
    assert float(window_loss(0.1, 1.0)(logits, truth)) == 0


def test_lengths_count_where_they_are_known():
    import torch

    answers = torch.zeros(1, 3, 1, 3)
    answers[0, 2] = torch.tensor([2.0, 9.0, 9.0])
    truth = torch.full((1, 2, 1, 3), UNKNOWN)
    truth[0, 0] = torch.tensor([1.0, 1.0, 0.0])
    without = float(window_loss(0.0, 1.0)(answers, truth))
    truth[0, 1, 0, 0] = -1.0
    assert float(window_loss(0.0, 1.0)(answers, truth)) - without == pytest.approx(0.2 * (3 - 0.5), rel=1e-5)


def test_a_pyramid_answers_every_4_pixels_and_starts_from_imagenet():
    import torch

    torch.manual_seed(0)
    network = build_network("efficientnet_lite0", 4, 4)
    before = network.body.encoder.model.conv_stem.weight.clone()
    assert load_weights(network, "efficientnet_lite0", {"efficientnet_lite0": "imagenet"}, {})
    assert not torch.equal(network.body.encoder.model.conv_stem.weight, before)
    freeze_features(network, True)
    learning = {name.split(".")[1] for name, one in network.named_parameters() if one.requires_grad}
    assert learning == {"decoder", "head"}
    network.eval()
    session = open_session(export_network(network, tells_lengths=True))
    for height, width in ((96, 64), (128, 160)):
        image = picture(height, width)
        answers = answered(network, image)
        assert answers.shape == (1, 3, height // 4, width // 4)
        told, embedding = session.run(None, {"image": image.numpy()})
        np.testing.assert_allclose(told[0, 0], answers[0, 1] - answers[0, 0], atol=1e-3)
        np.testing.assert_allclose(told[0, 1], answers[0, 2], atol=1e-3)
        assert embedding.shape == (1, 320)
