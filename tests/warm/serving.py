"""A process that has imported what programs need, and forks one for whoever asks: `serving.py SOCKET OWNER`.

It ends when the process of the number OWNER has ended. A fork is told its words, its folder and its variables, and gets
the asking program's outputs and process group; nothing of a program before it is in its memory. It ends with the
asking program. A second such process, at `SOCKET-prefect`, has imported Prefect's server besides.
"""

from __future__ import annotations

import atexit
import gc
import importlib.util
import json
import os
import random
import runpy
import signal
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NoReturn

LIBRARIES = (
    *("mlflow.pyfunc", "mlflow.artifacts", "mlflow.store.tracking.sqlalchemy_store"),
    *("mlflow.store.model_registry.sqlalchemy_store", "mlflow.data.dataset_source", "sqlalchemy.dialects.sqlite"),
    *("torch._inductor", "torchvision", "timm", "segmentation_models_pytorch", "safetensors.torch"),
    *("onnx", "onnxruntime", "onnxruntime.quantization", "great_expectations", "evidently.presets"),
    *("evidently.legacy.calculations.stattests", "pandas", "pyarrow", "sklearn.linear_model", "sklearn.ensemble"),
    *("scipy.stats", "scipy.ndimage", "scipy.sparse.linalg", "cv2", "rasterio.features", "pyogrio", "shapely"),
    *("tifffile", "imagecodecs", "PIL.Image", "matplotlib.pyplot", "typer", "rich.progress", "pydantic_settings"),
    *(
        "dvc.cli",
        "dvc.commands.repro",
        "dvc.commands.status",
        "dvc.commands.add",
        "dvc.repo",
        "dvc_data",
        "dvc_objects",
    ),
)
"""Of the vendors alone: the project's own code comes from the folder that a program works in.

Not ultralytics, which alters other libraries by its import.
"""

PREFECT = ("prefect.main", "prefect.cli.server", "prefect.server.api.server")
"""Not for flows: they set its variables before they import it, which is when it reads them."""


def main(address: str, owner: int) -> None:
    _import(LIBRARIES)
    if os.fork() == 0:
        _import(PREFECT)
        address += "-prefect"
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that attend
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        listener.settimeout(1)
        while _lives(owner):
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                if os.fork() == 0:
                    listener.close()
                    _attend(connection)
                connection.close()


def _import(libraries: Iterable[str]) -> None:
    warnings.simplefilter("ignore")
    for library in libraries:
        importlib.import_module(library)
    warnings.resetwarnings()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _attend(connection: socket.socket) -> NoReturn:
    """Fork the program and tell its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    connection.settimeout(None)
    _, outputs, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as stream:
        order = json.loads(stream.readline())
    program = os.fork()
    if program == 0:
        connection.close()
        _become(order, outputs)
    threading.Thread(target=_follow, args=(connection, program, order["group"]), daemon=True).start()
    _, status = os.waitpid(program, 0)
    with suppress(OSError):  # the asking program is gone
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _follow(connection: socket.socket, program: int, group: int) -> None:
    """Hand on the signals that the asking program gets, unless their group has; kill what it has left behind."""
    with suppress(OSError):
        while number := connection.recv(1):
            if os.getpgid(program) != group:
                os.killpg(program, number[0])
        (os.kill if os.getpgid(program) == group else os.killpg)(program, signal.SIGKILL)


def _become(order: dict[str, Any], outputs: list[int]) -> NoReturn:
    """What `python -m MODULE WORDS..` is after its start."""
    folder, environment, (module, *words) = order["folder"], order["environment"], order["words"]
    try:
        os.setpgid(0, order["group"])
    except OSError:  # of another session
        os.setpgid(0, 0)
    for number, output in enumerate(outputs):
        os.dup2(output, number)
        os.close(output)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    own = [path or folder for path in environment.get("PYTHONPATH", "").split(os.pathsep)]
    sys.path[:] = [folder, *own, *sys.path[1:]]
    if importlib.util.find_spec("sitecustomize"):
        importlib.import_module("sitecustomize")
    sys.argv = [module, *words]
    if "prefect.context" in sys.modules:
        sys.modules["prefect.context"].refresh_global_settings_context()
    random.seed()
    sys.modules["numpy"].random.seed()
    os._exit(_run(module))


def _run(module: str) -> int:
    """Run a program to its end but for the libraries' own, which would wait for threads that no fork has."""
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        sys.stderr.write(code)
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
    os._exit(0)  # a fork would wait for threads that it does not have
