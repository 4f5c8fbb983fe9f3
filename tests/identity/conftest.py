"""Providers on sockets."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from tests.identity.doubles import GitHub, Liar, served


@pytest.fixture
def liar(app: FastAPI) -> Iterator[Liar]:
    """An OpenID provider that does as it is told; the hub has never heard of it."""
    liar = Liar()
    with served(liar.app()) as liar.base:
        yield liar
    app.state.directory.known.clear()


@pytest.fixture
def github() -> Iterator[GitHub]:
    github = GitHub()
    with served(github.app()) as github.base:
        yield github
