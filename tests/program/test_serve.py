"""Starting, stopping, killing and starting again: `backend-hub serve` as `make run` runs it."""

import os
import signal
import socket

import httpx

from backend_hub.imports.demo import DEMO_PASSWORD
from tests.hub import link
from tests.program.conftest import Program


def sign_in(program: Program) -> dict[str, str]:
    form = {"username": "demo", "password": DEMO_PASSWORD}
    tokens = httpx.post(f"{program.url}/api/v1/auth/token", data=form).json()
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def add_link(program: Program, title: str) -> str:
    answer = httpx.post(
        f"{program.url}/api/v1/resources", json=link(title), headers=sign_in(program)
    )
    assert answer.status_code == 201, answer.text
    return str(answer.headers["Location"])


def stops_by(program: Program, number: signal.Signals) -> None:
    """Stop the hub by a signal, and its database with it."""
    assert program.postgres() is not None
    assert program.stop(number) in {0, 128 + number, 1, 130}
    assert program.postgres() is None, "PostgreSQL outlived the hub"


def test_a_hub_starts_in_an_empty_folder_and_stops_with_its_database(program: Program) -> None:
    program.start()
    assert f"{program.url}/docs" in program.log
    assert DEMO_PASSWORD in program.log
    resources = httpx.get(f"{program.url}/api/v1/resources?include_total=true").json()
    assert resources["total"] >= 21 * 5, "the catalogue is there"
    location = add_link(program, "Kept")
    stops_by(program, signal.SIGINT)
    program.start()
    assert httpx.get(f"{program.url}{location}").json()["title"] == "Kept"
    assert "0 new" in program.log, "a second start seeds nothing anew"
    stops_by(program, signal.SIGTERM)


def kill(program: Program) -> None:
    """Kill -9 of the hub, not of its database."""
    assert program.process is not None
    os.killpg(program.process.pid, signal.SIGKILL)
    program.process.wait()


def test_after_kill_9_the_next_start_recovers_the_database_or_takes_it_over(
    program: Program,
) -> None:
    program.start()
    location = add_link(program, "Acknowledged")
    postgres = program.postgres()
    assert postgres is not None
    kill(program)
    os.kill(postgres, signal.SIGKILL)
    program.start()
    assert httpx.get(f"{program.url}{location}").json()["title"] == "Acknowledged"
    running = program.postgres()
    kill(program)
    program.start()
    assert program.postgres() == running, "it is taken over"
    stops_by(program, signal.SIGTERM)


def test_two_workers_serve_one_database_and_one_key(program: Program) -> None:
    program.environment["HUB_LOG_FORMAT"] = "json"
    program.start("--workers", "2")
    headers = sign_in(program)
    answers = [httpx.get(f"{program.url}/api/v1/users/me", headers=headers) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    program.stop(signal.SIGTERM)
    # Workers log as one process does: a line a request, and none of uvicorn's.
    assert program.log.count('"route":"/api/v1/users/me"') == len(answers)
    assert "uvicorn.access" not in program.log
    assert program.postgres() is None


def test_a_taken_port_is_one_clear_line(program: Program) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", program.port))
        taken.listen()
        done = program.run("serve", "--port", str(program.port))
    assert done.returncode == 1
    assert "choose another --port" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert program.postgres() is None


def test_development_mode_listens_on_loopback_only(program: Program) -> None:
    done = program.run("serve", "--host", "0.0.0.0")
    assert done.returncode == 1
    assert "HUB_ENVIRONMENT=production" in done.stderr


def test_production_refuses_to_start_without_secrets(program: Program) -> None:
    program.environment = {"HUB_ENVIRONMENT": "production", "HUB_CORS_ORIGINS": "*"}
    done = program.run("serve")
    assert done.returncode == 1
    for word in ("HUB_SECRET_KEY", "HUB_CORS_ORIGINS", "https://"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr
