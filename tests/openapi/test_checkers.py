"""Checkers and generators that nobody here wrote: no errors, no warnings, and clients compile."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from openapi_spec_validator import validate
from openapi_spec_validator.readers import read_from_filename

from tests.openapi.conftest import HERE, Tools, run

ROOT = HERE.parents[1]
GENERATOR_VERSION = "0.29.1"
FILES = {"content_type_overrides": {"application/zip": "application/octet-stream"}}
"""The Python generator knows one type of files."""


@pytest.fixture
def workshop(tools: Tools, document_file: Path) -> Path:
    """A folder with the document and the tools' settings, where `node_modules` is found."""
    for name in ("spectral.yaml", "redocly.yaml", "tsconfig.json"):
        shutil.copy(HERE / name, tools.folder / name)
    shutil.copy(document_file, tools.folder / "openapi.json")
    shutil.rmtree(tools.folder / "generated", ignore_errors=True)
    return tools.folder


def test_it_is_openapi_3_1(document_file: Path) -> None:
    document, _ = read_from_filename(str(document_file))
    assert document["openapi"].startswith("3.1.")
    validate(document)


def test_spectral_and_owasp_find_nothing(tools: Tools, workshop: Path) -> None:
    """From hints up; the waivers and their reasons are in spectral.yaml."""
    arguments = ("lint", "openapi.json", "--ruleset", "spectral.yaml", "--fail-severity", "hint")
    assert "No results" in tools.run("spectral", *arguments, cwd=workshop)


def test_redocly_finds_nothing(tools: Tools, workshop: Path) -> None:
    arguments = ("lint", "openapi.json", "--config", "redocly.yaml")
    assert "Your API description is valid" in tools.run("redocly", *arguments, cwd=workshop)


Arguments = Callable[[Path], tuple[str | Path, ...]]
GENERATORS: dict[str, Arguments] = {
    "openapi-typescript": lambda out: ("openapi.json", "--output", out / "schema.ts"),
    "openapi-ts": lambda out: (
        *("--input", "openapi.json", "--output", out, "--client", "@hey-api/client-fetch"),
        "--no-log-file",
    ),
    "orval": lambda out: (
        *("--input", "openapi.json", "--output", out / "hub.ts"),
        *("--client", "fetch"),
    ),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_a_typescript_client_compiles(tools: Tools, workshop: Path, name: str) -> None:
    out = workshop / "generated"
    out.mkdir()
    tools.run(name, *GENERATORS[name](out), cwd=workshop)
    source = "\n".join(file.read_text(encoding="utf-8") for file in out.rglob("*.ts"))
    assert "ResourceSummaryPage" in source
    tools.run("tsc", "--project", "tsconfig.json", cwd=workshop)


def python_generator() -> Path:
    """The generator, in an environment of its own: it wants an older typer than the hub."""
    folder = ROOT / ".cache" / f"openapi-python-client-{GENERATOR_VERSION}"
    program = folder / "bin" / "openapi-python-client"
    if not program.exists():
        uv = [sys.executable, "-m", "uv"]
        run([*uv, "venv", "--quiet", "--python", sys.executable, folder])
        package = f"openapi-python-client=={GENERATOR_VERSION}"
        run([*uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python", package])
    return program


def test_the_python_client_passes_mypy(document_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "client"
    config = tmp_path / "config.json"
    config.write_text(json.dumps(FILES))
    generate: list[str | Path] = [
        python_generator(),
        "generate",
        "--meta",
        "none",
        "--config",
        config,
    ]
    output = run(
        [*generate, "--path", document_file, "--output-path", out / "hub_client"], tmp_path
    )
    assert "WARNING parsing" not in output
    assert "ERROR parsing" not in output
    mypy: list[str | Path] = [
        Path(sys.executable),
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        "",
        "hub_client",
    ]
    assert "Success" in run([*mypy, "--cache-dir", tmp_path / "mypy"], out)
