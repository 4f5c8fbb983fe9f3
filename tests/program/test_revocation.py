"""Two workers, each asked over a connection of its own: what one revokes the other refuses."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.http.test_metrics import TOKEN, read_metrics, value
from tests.hub import PASSWORD
from tests.program.conftest import START_WITHIN, Program

REACHES_ALL_WITHIN = 2.0
"""Seconds: promise 39."""
ME = "/api/v1/users/me"
Revoke = Callable[[httpx.Client, str], None]


def worker_pids(program: Program) -> list[int]:
    """The processes that serve, once all of them do."""
    assert program.process is not None
    find = ["pgrep", "-P", str(program.process.pid), "-f", "spawn_main"]
    deadline = time.monotonic() + START_WITHIN
    while value(read_metrics(program), "hub_pool_size") < 20:  # ten connections each
        assert time.monotonic() < deadline, program.log
        time.sleep(0.1)
    return [int(pid) for pid in subprocess.run(find, capture_output=True).stdout.split()]


@contextmanager
def connected_to(program: Program, worker: int, others: list[int]) -> Iterator[httpx.Client]:
    """A connection that this worker accepted, for the others could not; it is kept open."""
    with httpx.Client(base_url=program.url, limits=httpx.Limits(max_connections=1)) as client:
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert client.get("/health/live").status_code == 200
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)
        yield client


def person_token(client: httpx.Client) -> tuple[str, Revoke]:
    """A person signs in, and out."""
    form = {"username": "ann", "password": PASSWORD}
    client.post("/api/v1/auth/register", json=form | {"email": "ann@example.org"})
    token = client.post("/api/v1/auth/token", data=form).json()["access_token"]

    def sign_out(client: httpx.Client, token: str) -> None:
        assert client.post("/api/v1/auth/sign-out", headers=bearer(token)).status_code == 204

    return token, sign_out


def machine_token(client: httpx.Client) -> tuple[str, Revoke]:
    """A machine gets a token, and revokes it."""
    owner, _ = person_token(client)
    form = {"name": "Robot", "type": "machine", "scopes": ["posts:write"]}
    app = client.post("/api/v1/oauth/clients", json=form, headers=bearer(owner)).json()
    secret = {"client_id": app["id"], "client_secret": app["client_secret"]}
    asked = secret | {"grant_type": "client_credentials"}
    token = client.post("/oauth/token", data=asked).json()["access_token"]

    def revoke(client: httpx.Client, token: str) -> None:
        assert client.post("/oauth/revoke", data=secret | {"token": token}).status_code == 200

    return token, revoke


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.skipif(os.name != "posix", reason="it stops processes by signals")
def test_39_a_revocation_reaches_every_worker_within_two_seconds(program: Program) -> None:
    """Each worker revokes for the others, which knew the token well before."""
    program.environment["HUB_METRICS_TOKEN"] = TOKEN
    program.start("--no-seed", "--workers", "2")
    workers = worker_pids(program)
    assert len(workers) == 2
    with ExitStack() as stack:
        clients = [
            stack.enter_context(connected_to(program, pid, [p for p in workers if p != pid]))
            for pid in workers
        ]
        for revoker in clients:
            for begin in (person_token, machine_token):
                token, revoke = begin(revoker)
                for client in clients * 3:
                    assert client.get(ME, headers=bearer(token)).status_code == 200
                revoke(revoker, token)
                deadline = time.monotonic() + REACHES_ALL_WITHIN
                for client in clients:
                    while client.get(ME, headers=bearer(token)).status_code != 401:
                        assert time.monotonic() < deadline, "a worker still takes the token"
                assert {c.get(ME, headers=bearer(token)).status_code for c in clients} == {401}
