"""A checkout of the repository to type commands in."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from sightline.params import parse_yaml
from sightline.tasks import TASKS
from tests.contract.subjects import ROOT, tiny_section
from tests.services.endpoint_process import Running, stop
from tests.warm.programs import warm_programs


class Checkout:
    """A copy of the repository with tiny parameters and the stages of some tasks, committed in a git of its own.

    The first command of a name, of all workers, is started as a person's is; later ones come from `programs`
    (tests/warm), which lie in the folder `shared`.
    """

    def __init__(self, folder: Path, shared: Path, tasks: Collection[str] = tuple(TASKS)) -> None:
        self.folder, self.shared, self.programs = folder, shared, warm_programs(shared)
        names = self._git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        for name in filter(None, names):
            if (ROOT / name).is_file() and not name.startswith("tests/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        # DVC parses both files a dozen times a command.
        params = {name: value for name, value in self._parsed("params.yaml").items() if name not in TASKS}
        tiny = {"profile": "cpu", **{task: tiny_section(task) for task in tasks}}
        (folder / "params.yaml").write_text(yaml.safe_dump(params | tiny), encoding="utf-8")
        if set(tasks) != set(TASKS):
            self._keep_stages(tasks)
        self._git(folder, "init", "-q")
        self.commit("a copy")

    def _parsed(self, name: str) -> dict[str, Any]:
        return dict(parse_yaml((self.folder / name).read_text(encoding="utf-8")))

    def _keep_stages(self, tasks: Collection[str]) -> None:
        """Leave in dvc.yaml the stages and plots of these tasks; the others' are written by the same code."""
        pipeline = self._parsed("dvc.yaml")
        stages = pipeline["stages"].items()
        pipeline["stages"] = {name: stage for name, stage in stages if name.partition("-")[2] in tasks}
        pipeline["plots"] = [plot for plot in pipeline["plots"] if any(f"/{task}/" in str(plot) for task in tasks)]
        (self.folder / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")

    def commit(self, message: str) -> None:
        """Commit all that is there and not ignored."""
        self._git(self.folder, "add", "-A")
        who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        self._git(self.folder, *who, "commit", "-qm", message)

    def _git(self, folder: Path, *arguments: str) -> str:
        return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout

    def environment(self) -> dict[str, str]:
        """What surrounds a command that is typed here."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTLINE_")}
        return {
            **outside,
            "PYTHONPATH": str(self.folder / "src"),
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            # What reaches for the network finds a closed door, and no credentials.
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
            **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
            "KAGGLE_CONFIG_DIR": str(self.folder / "state"),
        }

    def _is_first(self, name: str) -> bool:
        """Whether no worker has started a command of this name yet."""
        typed = self.shared / "typed"
        typed.mkdir(exist_ok=True)
        try:
            (typed / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def type(self, *words: str | Path, code: int = 0, folder: Path | None = None, **settings: str) -> str:
        """Run `sightline words`; what it printed on standard output, or on standard error if it had to fail."""
        python = sys.executable if self._is_first(str(words[0])) else self.programs / "python"
        command = [python, "-m", "sightline", *map(str, words)]
        environment = {**self.environment(), **settings}
        here = folder or self.folder
        done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
        said = f"{' '.join(map(str, words))}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        assert done.returncode == code, said
        assert "Traceback" not in done.stderr, said
        return done.stderr if code else done.stdout

    def ask(self, *words: str | Path) -> Any:
        """The JSON that a command prints."""
        return json.loads(self.type(*words, "--json"))

    @contextmanager
    def serving(self, **settings: str) -> Iterator[Running]:
        """While `sightline serve` runs, with at least one champion; it leaves nothing behind."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = self.folder.with_name(f"{self.folder.name}-serve.log")
        environment = {**self.environment(), "SIGHTLINE_ENDPOINT_PORT": str(port), **settings}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.programs / "python", "-m", "sightline", "serve"],
                **{"cwd": self.folder, "env": environment, "start_new_session": True},
                **{"stdout": output, "stderr": subprocess.STDOUT},
            )
        running = Running(port, process, log)
        try:
            running.wait_until_ready()
            yield running
        finally:
            stop(process)
        assert process.returncode in (0, 130), log.read_text()
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, "the endpoint has outlived its command"
