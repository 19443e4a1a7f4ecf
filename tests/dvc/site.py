"""A copy of the project with its real dvc.yaml, and a cheap `sightline` in place of the real one.

The stages of the copy write, in no time, files that depend on the same inputs as the real ones do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]

TASK = "pv_hotspots"
CANDIDATES = ("fused", "network", "feature")

FAKE = f"""#!{sys.executable}
import csv, hashlib, json, os, sys, time
from pathlib import Path

import yaml

root = Path(os.environ["SIGHTLINE_ROOT"])
assert root == Path.cwd(), "stages run in the folder that they are to work on"
command, task, *rest = sys.argv[1:]
candidate = rest[rest.index("--candidate") + 1] if "--candidate" in rest else ""
with open(os.environ["CALLS"], "a") as calls:
    calls.write(f"{{command}} {{candidate}}".strip() + "\\n")
params = yaml.safe_load((root / "params.yaml").read_text())
section = params[task]
if command == "train":
    import sightline
    assert Path(sightline.__file__).is_relative_to(root), f"another folder's code: {{sightline.__file__}}"

def digest(*parts):
    return int(hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8], 16) / 16**8

def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

data = {{p.name: p.read_text() for p in sorted((root / "data" / task).rglob("*")) if p.is_file()}}
time.sleep(float(os.environ.get("SLEEP_S", 0)))
if command == "validate":
    closed = bool(os.environ.get("CLOSED"))
    write(root / "build/validation" / task / "verdict.json", json.dumps({{"passed": not closed}}))
    write(root / "build/validation" / task / "index.html", f"Data Docs of {{time.time()}}")
    if closed:
        from sightline.errors import DataRejected
        from sightline.versions import hand_over
        hand_over(DataRejected("the gate is closed: label.json", where=root / "data", way_out="See the Data Docs."))
        sys.exit(4)
elif command == "train":
    assert json.loads((root / "build/validation" / task / "verdict.json").read_text())["passed"]
    score = digest(data, section["seed"], section["data"], section["train"][params["profile"]], candidate)
    write(root / "build/checkpoints" / task / "half", str(time.time()))
    write(root / "build/models" / task / candidate / "final/weights", str(score))
elif command == "evaluate":
    out = root / "build/evaluations" / task / candidate
    model = float((root / "build/models" / task / candidate / "final/weights").read_text())
    value = {{"value": model, "low": None, "high": 1.0, "n": section["evaluate"]["resamples"]}}
    write(out / "metrics.json", json.dumps({{"sets": {{"sample": {{"metrics": {{"ap50_defected": value}}}}}}}}))
    for name in ("rows.jsonl", "validation.jsonl", "reference.jsonl", "training.csv"):
        write(out / name, str(model))
    field = "recall of defected modules (IoU 0.5)"
    write(out / "plots/precision_recall_defected.csv", f"{{field}},precision\\n0,1\\n1,{{model}}\\n")
    for picture in ("charts/confusion.png", "pictures/a.png"):
        write(out / picture, "")
        (out / picture).write_bytes(bytes.fromhex(os.environ["PIXEL"]))
else:
    sys.exit(f"unknown command {{command}}")
"""

PIXEL = (
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415408d763f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


class Site:
    """The copy: a git repository with DVC, data and no commit of data yet. DVC is that of an environment's `bin`."""

    def __init__(self, folder: Path, programs: Path = Path(sys.executable).parent) -> None:
        self._python = programs / "python"
        self.root = folder / "project"
        self.calls_path = folder / "calls.txt"
        self.programs = folder / "bin"
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(self.programs), os.environ["PATH"]]),
            "DVC_NO_ANALYTICS": "1",
            "CALLS": str(self.calls_path),
            "PIXEL": PIXEL,
            "PYTHONDONTWRITEBYTECODE": "1",
            **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _IDENTITY},
        }
        self._copy()
        for program, text in (("sightline", FAKE),):
            self.programs.mkdir()
            (self.programs / program).write_text(text)
            (self.programs / program).chmod(0o755)
        for name in ("a", "b"):
            self.write(f"data/pv_hotspots/sample/{name}.json", f"{name} 1")
        self.write("data/pv_hotspots/splits.csv", "set,group,split,fold\n")
        self.git("init", "--quiet", "--initial-branch=main")
        self.dvc("add", "--quiet", "data")
        self.commit("Project with data")

    def _copy(self) -> None:
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "tmp", "cache", "config.local")
        for name in (".dvc", "src"):
            shutil.copytree(ROOT / name, self.root / name, ignore=ignore)
        for name in (".dvcignore", ".gitignore"):
            shutil.copy(ROOT / name, self.root / name)
        # One task stands for all: DVC reads the parameters dozens of times a run.
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        kept = {name: value for name, value in params.items() if name == TASK or not isinstance(value, dict)}
        (self.root / "params.yaml").write_text(yaml.safe_dump(kept, sort_keys=False))
        pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())
        # Their stages are written by the same code.
        pipeline["stages"] = {name: stage for name, stage in pipeline["stages"].items() if name.endswith(f"-{TASK}")}
        pipeline["plots"] = [plot for plot in pipeline["plots"] if TASK in str(plot)]
        (self.root / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def set_param(self, name: str, value: object) -> None:
        path = self.root / "params.yaml"
        document = yaml.safe_load(path.read_text())
        *sections, key = name.split(".")
        section = document
        for part in sections:
            section = section[part]
        assert key in section, name
        section[key] = value
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    def run(self, *command: str, fails: bool = False) -> str:
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False, timeout=250
        )
        assert bool(done.returncode) == fails, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + (done.stderr if fails else "")

    def dvc(self, *arguments: str, fails: bool = False) -> str:
        return self.run(str(self._python), "-m", "dvc", *arguments, fails=fails)

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def commit(self, subject: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)

    def calls(self) -> list[str]:
        """What the stages called since this was last asked, sorted."""
        found = self.calls_path.read_text().split("\n")[:-1] if self.calls_path.exists() else []
        self.calls_path.unlink(missing_ok=True)
        return sorted(found)

    def metrics(self) -> dict[str, float]:
        """Candidate -> the value that `dvc metrics show` tells."""
        shown = json.loads(self.dvc("metrics", "show", "--json"))[""]["data"]
        figures = {Path(name).parent.name: file["data"] for name, file in shown.items()}
        return {name: data["sets"]["sample"]["metrics"]["ap50_defected"]["value"] for name, data in figures.items()}


_IDENTITY = (("NAME", "T"), ("EMAIL", "t@example.org"))

EVERYTHING = sorted(["validate", *(f"{step} {name}" for step in ("train", "evaluate") for name in CANDIDATES)])
TRAINING = sorted(f"{step} {name}" for step in ("train", "evaluate") for name in CANDIDATES)
EVALUATION = sorted(f"evaluate {name}" for name in CANDIDATES)
