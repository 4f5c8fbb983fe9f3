"""The rules of the code, as tests."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy.orm import Mapper, class_mapper, configure_mappers
from sqlmodel import SQLModel
from starlette.middleware.base import BaseHTTPMiddleware

from backend_hub import tables

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "backend_hub"
SOURCES = [p for p in sorted(PACKAGE.rglob("*.py")) if "catalogue" not in p.relative_to(ROOT).parts]
MAY_COMMIT = {"db.py", "cli.py"}
LONGEST = 400
LONGER = {"embedded.py": 420}
"""Files that may be longer, and how long."""


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(PACKAGE)) for path in paths]


def test_upper_layers_import_lower_ones_only() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_only_the_database_module_and_the_command_line_commit() -> None:
    commits = re.compile(r"\.commit\(|\.begin\(\)")
    assert [
        name
        for path, name in zip(SOURCES, names(SOURCES), strict=True)
        if name not in MAY_COMMIT and commits.search(path.read_text("utf-8"))
    ] == []


def test_no_file_is_too_long() -> None:
    lengths = {
        name: len(p.read_text("utf-8").splitlines())
        for p, name in zip(SOURCES, names(SOURCES), strict=True)
    }
    assert {n: lines for n, lines in lengths.items() if lines > LONGER.get(n, LONGEST)} == {}


def test_packages_have_empty_init_files() -> None:
    assert [p for p in SOURCES if p.name == "__init__.py" and p.read_text("utf-8")] == []


def test_models_keep_their_annotations() -> None:
    future = "from __future__ import annotations"
    assert [
        n
        for p, n in zip(SOURCES, names(SOURCES), strict=True)
        if p.name == "models.py" and future in p.read_text("utf-8")
    ] == []


def test_no_import_hides_in_a_function() -> None:
    ruff = Path(sys.executable).with_name("ruff")
    checked = subprocess.run(
        [ruff, "check", "--no-cache", "--select", "PLC0415", "src", "tests"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_nothing_is_a_base_http_middleware(app: FastAPI) -> None:
    assert [m.cls for m in app.user_middleware if issubclass(m.cls, BaseHTTPMiddleware)] == []  # type: ignore[arg-type]
    assert [p for p in SOURCES if "BaseHTTPMiddleware" in p.read_text("utf-8")] == []


def test_relationships_never_load_by_themselves() -> None:
    assert tables.metadata is SQLModel.metadata
    configure_mappers()
    mappers: list[Mapper[Any]] = [class_mapper(model) for model in all_models()]
    lazy = [
        str(relation)
        for mapper in mappers
        for relation in mapper.relationships
        if relation.lazy not in {"raise", "noload"}
    ]
    assert len(mappers) > 10
    assert lazy == []


def all_models() -> list[type]:
    return [m for m in SQLModel.__subclasses__() if hasattr(m, "__table__")]


def routes_of(app: FastAPI) -> list[APIRoute]:
    contexts = iter_route_contexts(app.routes)
    return [c.original_route for c in contexts if isinstance(c.original_route, APIRoute)]


def test_every_route_says_what_it_does_and_answers(app: FastAPI) -> None:
    routes = [route for route in routes_of(app) if route.include_in_schema]
    assert len(routes) > 30
    for route in routes:
        assert route.summary, route.name
        assert len(route.description) > 15, route.name
        assert route.tags, route.name
        answers = route.response_model is not None or route.is_sse_stream
        assert (route.status_code == 204) != answers, route.name


def test_every_dependency_runs_on_the_event_loop(app: FastAPI) -> None:
    def calls(dependant: Dependant) -> list[object]:
        below = [call for child in dependant.dependencies for call in calls(child)]
        return [dependant.call, *below]

    blocking = {
        getattr(call, "__qualname__", repr(call))
        for route in routes_of(app)
        for call in calls(route.dependant)
        if call is not None and not on_the_loop(call)
    }
    assert blocking == set()


def on_the_loop(call: object) -> bool:
    """Anything else FastAPI sends to a thread, at the cost of a switch for each request."""
    call = getattr(call, "func", call)
    if not inspect.isroutine(call):
        call = type(call).__call__
    return inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.name == "router.py"], ids=lambda path: path.parent.name
)
def test_routers_import_no_other_router(path: Path) -> None:
    assert not re.search(
        r"from backend_hub\.\w+(\.router import| import router)", path.read_text("utf-8")
    )
