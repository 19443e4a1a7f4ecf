"""YOLOv8n by ultralytics (AGPL-3.0): training with its own trainer, resumable; and its graph for ONNX.

The only module that imports ultralytics. Import it after `prepare_environment`, and only to train.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, cast

import numpy as np
from PIL import Image

from sightline.task import Progress
from sightline.tasks.pv_hotspots.augment import Window, Windows
from sightline.tasks.pv_hotspots.data import CLASSES
from sightline.tasks.pv_hotspots.params import InputParams, ScheduleParams, TrainParams
from sightline.vision.checkpoints import Checkpoints
from sightline.vision.hardware import SHORT_SPIN, wires_bfloat16

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

State = dict[str, "Tensor"]
"""Parameter name -> tensor, float32 on the CPU."""

Batch = dict[str, "Tensor | list[str]"]
"""What ultralytics trains on at a time."""

Nested = Union["Tensor", dict[str, "Nested"], list["Nested"], tuple["Nested", ...]]
"""What a network of ultralytics answers while it is trained."""

ARCHITECTURE = "yolov8n.yaml"
_DEEPEST_LAYER = 9
"""The pyramid pooling at the end of the backbone: its mean over the picture is the embedding."""


def prepare_environment() -> None:
    """Import ultralytics: no downloads, no telemetry, no settings file in the user's home. Call it before torch.

    What ultralytics puts in place of `PIL.Image.open` (it would install packages on its own) is taken away again.
    """
    os.environ.setdefault(*SHORT_SPIN)
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))  # ultralytics would set it to 1
    os.environ["YOLO_OFFLINE"] = "1"
    os.environ.setdefault("YOLO_VERBOSE", "false")
    if "YOLO_CONFIG_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="sightline-ultralytics-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["YOLO_CONFIG_DIR"] = folder
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    opened = Image.open
    import ultralytics.utils.patches  # noqa: F401 - it is the import that patches

    Image.open = opened


@contextmanager
def _quiet() -> Iterator[None]:
    """Ultralytics and torch warn of things that are as they should be (a scheduler's order, a tracer's branches)."""
    from ultralytics.utils import LOGGER, SETTINGS

    before = LOGGER.level
    LOGGER.setLevel(logging.ERROR)
    dict.update(SETTINGS, {"sync": False, "mlflow": False, "tensorboard": False, "wandb": False})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        LOGGER.setLevel(before)


def train_detector(
    windows: Windows,
    params: TrainParams,
    schedule: ScheduleParams,
    start: State | None,
    work: Path,
    progress: Progress,
) -> State:
    """Train to the end of the schedule, from the newest checkpoint in `work` where there is one.

    Returns:
        The moving average of the weights.
    """
    prepare_environment()
    checkpoints = Checkpoints(work)
    newest = checkpoints.newest()
    with _quiet():
        trainer = _trainer_class()(overrides=_overrides(schedule, params.class_gain, windows.seed, work, newest))
        trainer.callbacks = {event: [] for event in trainer.callbacks}  # none of the trackers that may be installed
        trainer.windows, trainer.start_state, trainer.loss_weights = windows, start, params.class_weights
        trainer.add_callback("on_train_start", _begin)
        trainer.add_callback("on_fit_epoch_end", lambda t: _end_epoch(t, progress))
        trainer.add_callback("on_model_save", lambda t: checkpoints.keep(t.last))
        trainer.train()
    return {name: value.detach().float().cpu().clone() for name, value in trainer.ema.ema.state_dict().items()}


def _overrides(
    schedule: ScheduleParams, class_gain: float, seed: int, work: Path, newest: Path | None
) -> dict[str, object]:
    device, mixed = _device()
    return {
        "model": str(newest) if newest else ARCHITECTURE,
        "resume": str(newest) if newest else False,
        "data": "windows",
        "project": str(work),
        "name": "ultralytics",
        "exist_ok": True,
        "epochs": schedule.epochs,
        "batch": schedule.batch,
        "nbs": schedule.batch,  # one step of the optimiser a batch
        "optimizer": "AdamW",
        "lr0": schedule.learning_rate,
        "lrf": 0.02,
        "cos_lr": True,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "warmup_epochs": max(1.0, schedule.epochs * 0.05),
        "warmup_bias_lr": 0.0,
        "freeze": schedule.freeze or None,
        "cls": class_gain,
        "seed": seed,
        "deterministic": True,
        "device": device,
        "amp": mixed,
        "workers": 0,
        "val": False,
        "plots": False,
        "save": True,
        "pretrained": False,
        "close_mosaic": 0,
        "verbose": False,
    }


def _device() -> tuple[str, str | bool]:
    """Name of the device and mixed precision as ultralytics knows it: bfloat16 on CUDA; of the CPU see `_begin`."""
    import torch

    if torch.cuda.is_available():
        return "0", "bf16" if torch.cuda.is_bf16_supported() else False
    return ("mps" if torch.backends.mps.is_available() else "cpu"), False


def _begin(trainer: Any) -> None:
    import torch

    # ultralytics leaves one core idle when it selects the CPU.
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    trainer.windows.epoch = trainer.start_epoch
    if trainer.device.type == "cpu" and wires_bfloat16(trainer.device):
        _mix_precisions(trainer.model)


def _mix_precisions(network: Any) -> None:
    """Let a network compute in bfloat16 on the CPU, which ultralytics refuses; its loss stays in float32.

    A third less time a step where the CPU is wired for it. Only this network: its moving average, which checkpoints
    hold, was copied from it before.
    """
    import torch

    network.to(memory_format=torch.channels_last)
    plain = network._predict_once

    def predict_once(pictures: Tensor, *rest: object, **named: object) -> Nested:
        with torch.autocast("cpu", torch.bfloat16):
            return _in_float32(plain(pictures.contiguous(memory_format=torch.channels_last), *rest, **named))

    network._predict_once = predict_once


def _in_float32(answer: Nested) -> Nested:
    """The tensors of a nested answer in single precision."""
    match answer:
        case dict():
            return {name: _in_float32(value) for name, value in answer.items()}
        case list() | tuple():
            return type(answer)(_in_float32(value) for value in answer)
        case _:
            return answer.float()


def _end_epoch(trainer: Any, progress: Progress) -> None:
    done = trainer.epoch + 1
    trainer.windows.epoch = done
    losses = {name.removesuffix("_loss") + "_loss": float(value) for name, value in (trainer.tloss or {}).items()}
    progress.advance(done, trainer.epochs, f"epoch {done}/{trainer.epochs}")
    progress.metrics(done, losses)


def _trainer_class() -> type[Any]:  # noqa: C901 - the classes derive from libraries that are imported late
    import torch
    from ultralytics.models.yolo.detect import DetectionTrainer
    from ultralytics.nn.tasks import DetectionModel

    class Loader(torch.utils.data.DataLoader[Any]):
        def reset(self) -> None:
            """Ultralytics asks for it when mosaic ends; epochs are told apart by `Windows.epoch`."""

        def __iter__(self) -> Any:
            """Each batch of an epoch; the next one is made while the network works on this one."""
            batches = super().__iter__()
            with ThreadPoolExecutor(1, thread_name_prefix="windows") as maker:
                coming = maker.submit(next, batches, None)
                while (ready := coming.result()) is not None:
                    coming = maker.submit(next, batches, None)
                    yield ready

    class Trainer(DetectionTrainer):  # type: ignore[misc]
        """ultralytics' trainer on windows in memory, without its validation (the platform evaluates)."""

        windows: Windows
        start_state: State | None
        loss_weights: tuple[float, ...]

        def get_dataset(self) -> dict[str, object]:
            return {"names": dict(enumerate(CLASSES)), "nc": len(CLASSES), "channels": 3, "train": "", "val": ""}

        def get_dataloader(self, *_: object, **__: object) -> Loader:
            self.windows.labels = [{"cls": np.zeros(300)}]  # type: ignore[attr-defined]  # the most boxes it allows
            return Loader(cast("Any", self.windows), batch_size=self.batch_size, shuffle=False, collate_fn=collate)

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:  # noqa: ARG002
            model = DetectionModel(ARCHITECTURE, nc=len(CLASSES), ch=3, verbose=False)
            state = weights.float().state_dict() if weights is not None else self.start_state
            if state is not None:
                model.load_state_dict(state)
            return model

        def set_class_weights(self) -> None:
            if any(weight != 1 for weight in self.loss_weights):
                self.model.class_weights = torch.tensor(self.loss_weights, device=self.device)

        def validate(self) -> tuple[dict[str, float], float]:
            return {}, 0.0

        def final_eval(self) -> None:
            """Nothing: there is no validation set."""

        def plot_training_labels(self) -> None:
            """Nothing: no plots."""

    return Trainer


def collate(batch: Sequence[Window]) -> Batch:
    """A batch as ultralytics wants it: boxes as centre and size, in shares of the window."""
    import torch

    boxes, kinds, owner = [], [], []
    for index, window in enumerate(batch):
        height, width = window.picture.shape[1:]
        centre, size = (window.boxes[:, :2] + window.boxes[:, 2:]) / 2, window.boxes[:, 2:] - window.boxes[:, :2]
        boxes.append(np.concatenate([centre, size], axis=1) / np.array([width, height, width, height]))
        kinds.append(window.classes)
        owner.append(np.full(len(window.classes), index))
    return {
        "img": torch.from_numpy(np.stack([window.picture for window in batch])),
        "cls": torch.from_numpy(np.concatenate(kinds)).float()[:, None],
        "bboxes": torch.from_numpy(np.concatenate(boxes)).float(),
        "batch_idx": torch.from_numpy(np.concatenate(owner)).float(),
        "im_file": [""] * len(batch),
    }


def read_start(path: Path) -> State:
    """Weights to start from: safetensors, or a PyTorch file that holds tensors only (nothing is unpickled)."""
    import torch
    from safetensors.torch import load_file

    state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    return {name: value.float() for name, value in state.items()}


def export_graph(state: Mapping[str, Tensor], params: InputParams, path: Path) -> None:
    """Write the network as an ONNX graph (see `detector`)."""
    import torch

    prepare_environment()
    with _quiet():
        torch.onnx.export(
            _exportable(state),
            (torch.zeros(1, 3, params.height_px, params.width_px),),
            str(path),
            input_names=["image"],
            output_names=["boxes", "embedding"],
            opset_version=17,
            dynamo=False,
        )


def read_network(weights: bytes) -> Module:
    """The network of a saved model in eager PyTorch, ready to predict: batch norms folded into the convolutions."""
    from safetensors.torch import load

    prepare_environment()
    with _quiet():
        network: Module = _folded(load(weights))
        return network


def _folded(state: Mapping[str, Tensor]) -> Any:
    from ultralytics.nn.tasks import DetectionModel

    network = DetectionModel(ARCHITECTURE, nc=len(CLASSES), ch=3, verbose=False)
    network.load_state_dict(dict(state))
    network.eval().fuse(verbose=False)
    return network


def _exportable(state: Mapping[str, Tensor]) -> Module:
    """A module (1, 3, h, w) -> boxes, embedding."""
    import torch

    network = _folded(state)
    network.model[-1].export, network.model[-1].format = True, "onnx"

    class Exported(torch.nn.Module):
        """The network with its embedding as a second answer."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
            kept: list[Tensor] = []
            hook: Callable[..., None] = lambda _module, _inputs, output: kept.append(output)  # noqa: E731
            handle = self.network.model[_DEEPEST_LAYER].register_forward_hook(hook)
            answer = self.network(image)
            handle.remove()
            return (answer[0] if isinstance(answer, list | tuple) else answer), kept[0].mean(dim=(2, 3))

    return Exported().eval()
