"""No container engine runs in the tests: what can be read of the two files is held to the code."""

import re
from pathlib import Path
from typing import Any

import yaml

from backend_hub.settings import Settings, load_settings

ROOT = Path(__file__).parents[1]
VARIABLES = {f"HUB_{name.upper()}" for name in Settings.model_fields}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def stages() -> list[list[tuple[str, str]]]:
    """The Dockerfile as stages of (instruction, arguments)."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    found: list[list[tuple[str, str]]] = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            instruction, _, arguments = line.partition(" ")
            if instruction == "FROM":
                found.append([])
            found[-1].append((instruction, arguments.strip()))
    return found


def test_the_compose_file_sets_only_variables_that_the_settings_have() -> None:
    for name, service in compose()["services"].items():
        for variable in service.get("environment", {}):
            if variable.startswith("HUB_"):
                assert variable in VARIABLES, f"{name}: {variable}"


def test_the_settings_of_the_compose_file_are_accepted_for_production() -> None:
    environment = compose()["services"]["hub"]["environment"]
    filled = {
        "HUB_PUBLIC_URL": "https://hub.example.org",
        "HUB_SECRET_KEY": "mQ8vK2xW7rT4yB9nF3jH6dL1sP5gC0zA",
        "POSTGRES_PASSWORD": "a-long-word",
    }

    def fill(match: re.Match[str]) -> str:
        name, _, default = match[1].partition(":-")
        return filled.get(name.partition(":?")[0], default)

    values = {
        name.removeprefix("HUB_").lower(): re.sub(r"\$\{([^}]+)\}", fill, str(value))
        for name, value in environment.items()
    }
    settings = load_settings(**values)
    assert settings.environment == "production"
    assert settings.database_url == "postgresql+asyncpg://hub:a-long-word@postgres:5432/hub"


def test_every_variable_that_compose_asks_for_is_in_the_example_or_has_a_default() -> None:
    example = (ROOT / ".env.example").read_text()
    for name, demand in re.findall(r"\$\{(\w+)(:[-?])?", (ROOT / "docker-compose.yml").read_text()):
        assert demand == ":-" or f"\n{name}=" in example, name


def test_hub_postgres_and_redis_are_watched_and_wait_for_each_other() -> None:
    services = compose()["services"]
    assert services["postgres"]["image"] == "postgres:18"
    for name in ("postgres", "redis"):
        assert services[name]["healthcheck"]["test"]
        assert not services[name].get("ports"), "only the hub is reachable from outside"
    assert services["hub"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["migrate"]["command"] == ["migrate"]
    volumes = compose()["volumes"]
    assert [v.partition(":")[0] for v in services["postgres"]["volumes"]] == list(volumes)


def test_the_image_is_built_in_two_stages_and_runs_without_privileges() -> None:
    build, final = stages()
    assert "--require-hashes" in " ".join(arguments for _, arguments in build)
    instructions = dict(final)
    assert instructions["USER"] not in {"root", "0"}
    assert final.index(("USER", instructions["USER"])) < [i for i, _ in final].index("ENTRYPOINT")
    assert instructions["ENTRYPOINT"] == '["backend-hub"]'
    assert "/health/ready" in instructions["HEALTHCHECK"]
    assert "HUB_ENVIRONMENT=production" in instructions["ENV"]


def test_what_the_image_copies_is_in_the_build_context() -> None:
    allowed = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    for instruction, arguments in stages()[0]:
        if instruction == "COPY":
            for source in arguments.split()[:-1]:
                assert source in allowed, source
                assert (ROOT / source).exists(), source
