"""A toy project with a real Prefect server, shared by the tests of one module."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightline.runtime.processes import Group
from sightline.runtime.servers import list_servers
from tests.flows.toy_folder import ToyFolder
from tests.warm.databases import give_prefect_database


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def programs() -> Path:
    """This environment's own; a module that kills nothing may take warm ones."""
    return Path(sys.executable).parent


@pytest.fixture(scope="module")
def folder(programs: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> ToyFolder:
    """The sample is there; nothing was run yet."""
    made = ToyFolder(tmp_path_factory.mktemp("toy"), programs)
    give_prefect_database(shared, made.settings)
    return made


@pytest.fixture(scope="module")
def prefect_server(folder: ToyFolder) -> Iterator[Group]:
    """A Prefect server of the folder, as `sightline up` starts it; runs find it by themselves."""
    settings = folder.settings.model_copy(update={"prefect_port": free_port()})
    group = Group(settings.state, lambda _: None)
    try:
        group.start([folder.adopt(server) for server in list_servers(settings) if server.name == "prefect"])
        group.note()
        yield group
    finally:
        group.stop()
