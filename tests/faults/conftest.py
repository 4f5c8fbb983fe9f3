"""Hubs to break: each test file has one of its own, started as a person starts it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.machine import ENVIRONMENT
from tests.program.conftest import Program

Programs = Callable[..., Program]


@pytest.fixture(scope="module")
def programs() -> Iterator[Programs]:
    """Makes programs in folders of their own; `start()` them with `--no-seed`."""
    made: list[Program] = []

    def make(**environment: str) -> Program:
        folder = Path(tempfile.mkdtemp(prefix="hub-faults-"))
        folder.chmod(0o755)  # PostgreSQL's own account passes here, should we be root
        made.append(Program(folder, ENVIRONMENT | environment))
        return made[-1]

    yield make
    for program in made:
        program.clean_up()


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that PostgreSQL's own account can enter."""
    folder = Path(tempfile.mkdtemp(prefix="hub-faults-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
