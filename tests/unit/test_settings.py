from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import ParamsError
from sightline.settings import find_root, load_settings


def test_the_root_is_the_nearest_folder_with_params(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "params.yaml").touch()
    assert find_root(inner) == tmp_path.resolve()


def test_all_places_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGHTLINE_ROOT", ".")
    settings = load_settings()
    assert settings.data == tmp_path.resolve() / "data"
    assert settings.tracking_uri == f"sqlite:///{tmp_path.resolve()}/mlruns/mlflow.db"


def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_ENDPOINT_PORT", "70000")
    with pytest.raises(ParamsError, match="SIGHTLINE_ENDPOINT_PORT"):
        load_settings()


def test_binding_beyond_this_machine_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_HOST", "0.0.0.0")
    with pytest.raises(ParamsError, match="SIGHTLINE_TOKEN"):
        load_settings()
    for short in ("x", "fifteen-letters"):
        monkeypatch.setenv("SIGHTLINE_TOKEN", short)
        with pytest.raises(ParamsError, match=f"16 characters or more; this one has {len(short)}"):
            load_settings()
    monkeypatch.setenv("SIGHTLINE_TOKEN", "sixteen-letters.")
    assert load_settings().host == "0.0.0.0"


def test_the_ledger_lies_in_a_file_or_in_postgresql(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIGHTLINE_ROOT", str(tmp_path))
    assert load_settings().database_url == f"sqlite:///{tmp_path.resolve()}/state/ledger.sqlite"
    monkeypatch.setenv("SIGHTLINE_LEDGER_URL", "postgresql+psycopg://ann:hidden@db.example/sightline")
    assert load_settings().database_url == "postgresql+psycopg://ann:hidden@db.example/sightline"
    assert "hidden" not in repr(load_settings())
    for wrong in ("sqlite:///ledger.sqlite", "postgresql://db.example/sightline", "/srv/ledger.sqlite"):
        monkeypatch.setenv("SIGHTLINE_LEDGER_URL", wrong)
        with pytest.raises(ParamsError, match=r"SIGHTLINE_LEDGER_URL.*postgresql\+psycopg://"):
            load_settings()


def test_the_token_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_TOKEN", "a-long-enough-secret")
    assert "secret" not in repr(load_settings()).replace("SecretStr", "")


@pytest.mark.parametrize("name", ["a%20b", "what?", "it's", 'say "so"', "a\\b", "two\nlines", "b\udcff"])
def test_a_root_that_databases_would_misread_is_refused_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setenv("SIGHTLINE_ROOT", str(tmp_path / name))
    with pytest.raises(ParamsError, match="Rename that folder") as caught:
        load_settings()
    str(caught.value).encode()  # it can be printed
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a space", "Zürich-日本", "50%", "a#b", "a&b=c", "a+b,(c)[d]{e}~$@:;"])
def test_other_names_of_the_root_are_fine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv("SIGHTLINE_ROOT", str(tmp_path / name))
    assert load_settings().root == tmp_path / name
