"""The embedded PostgreSQL against the real one: every test has a server and a folder of its own."""

import fcntl
import importlib.util
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from backend_hub import embedded
from backend_hub.embedded import Server, embedded_postgres, running, start, stop
from backend_hub.errors import ConfigurationError

SOURCE = Path(embedded.__file__).parents[1]
NOBODY = 65534
STARTER = """
import json, sys
from pathlib import Path
from backend_hub.embedded import start
server = start(Path(sys.argv[1]), durable=False)
print(json.dumps([server.pid, server.started]))
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another account")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(embedded.PACKAGE) is None, reason="needs the extra `embedded`"
)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that every account can enter; what it holds is stopped and removed."""
    path = Path(tempfile.mkdtemp(prefix="hub-")).resolve()
    path.chmod(0o755)
    monkeypatch.setattr(embedded, "ROOT_HOME", path / "root-home")
    yield path
    for lock in path.rglob("postgres.lock"):
        if server := running(lock.parent):
            stop(server, "immediate")
    shutil.rmtree(path)


@pytest.fixture
def data_dir(folder: Path) -> Path:
    return folder / "hub"


def quick(data_dir: Path) -> Server:
    return start(data_dir, durable=False)


def psql(server: Server, statement: str) -> list[str]:
    command = [str(server.binary("psql")), "-X", "-h", str(server.socket_dir), "-U", "postgres"]
    return [*command, "-qAtc", statement]


def sql(server: Server, statement: str) -> str:
    done = subprocess.run(psql(server, statement), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def in_another_process(data_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, str(data_dir)],
        env={"PYTHONPATH": str(SOURCE), "PATH": os.defpath},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def as_nobody(act: Callable[[], object]) -> str:
    """What `act` says in a process of an ordinary user: its result, or its refusal.

    It is a fork, for the Python of the tests may lie where that user cannot read it.
    """
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            said = str(act())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as told:
        said = told.read()
    os.waitpid(child, 0)
    return said


def answer(process: subprocess.Popen[str]) -> tuple[int, bool]:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    pid, started = json.loads(output)
    return pid, started


def busy_client(server: Server) -> subprocess.Popen[bytes]:
    """A client whose backend computes without end, and so does not see that its server died."""
    endless = psql(server, "SELECT count(*) FROM generate_series(1, 1000000000000) a")
    client = subprocess.Popen(endless, stderr=subprocess.DEVNULL)
    while sql(server, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'") != "2":
        time.sleep(0.02)
    return client


def one_line(refusal: pytest.ExceptionInfo[ConfigurationError]) -> str:
    message = str(refusal.value)
    assert "\n" not in message
    return message


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def kill_postmaster(server: Server) -> None:
    os.kill(server.pid, signal.SIGKILL)


def test_a_restart_keeps_the_data(data_dir: Path) -> None:
    first = start(data_dir)
    sql(first, "CREATE TABLE kept AS SELECT 42 AS value")
    stop(first)
    second = start(data_dir)
    assert second.started
    assert second.pid != first.pid
    assert sql(second, "SELECT value FROM kept") == "42"


def test_a_second_start_shares_the_running_server(data_dir: Path) -> None:
    first, second = quick(data_dir), quick(data_dir)
    assert (first.started, second.started) == (True, False)
    assert first.pid == second.pid
    assert first.url == second.url


def test_two_starts_at_once_get_one_server(data_dir: Path) -> None:
    starters = [in_another_process(data_dir) for _ in range(3)]
    answers = [answer(starter) for starter in starters]
    assert len({pid for pid, _ in answers}) == 1
    assert sorted(started for _, started in answers) == [False, False, True]


def test_stop_is_clean(data_dir: Path) -> None:
    server = quick(data_dir)
    stop(server)
    assert running(data_dir) is None
    assert not (server.pgdata / "postmaster.pid").exists()
    assert "database system is shut down" in (server.pgdata / "server.log").read_text()
    stop(server)


@pytest.mark.parametrize("way", ["fast", "immediate"])
def test_stop_ends_a_busy_client(data_dir: Path, way: Literal["fast", "immediate"]) -> None:
    server = quick(data_dir)
    client = busy_client(server)
    began = time.monotonic()
    stop(server, way)
    assert time.monotonic() - began < 5
    assert client.wait(timeout=5) != 0


@pytest.mark.parametrize("with_orphan", [False, True])
def test_a_killed_server_recovers_with_every_committed_row(
    data_dir: Path, with_orphan: bool
) -> None:
    server = start(data_dir)
    sql(server, "CREATE TABLE kept (value int)")
    client = busy_client(server) if with_orphan else None
    sql(server, "INSERT INTO kept SELECT generate_series(1, 1000)")
    kill_postmaster(server)
    again = start(data_dir)
    assert again.started
    assert sql(again, "SELECT count(*) FROM kept") == "1000"
    assert "not properly shut down" in (again.pgdata / "server.log").read_text()
    if client:
        assert client.wait(timeout=5) != 0


def test_running_does_not_believe_in_a_killed_server(data_dir: Path) -> None:
    server = quick(data_dir)
    kill_postmaster(server)
    assert running(data_dir) is None


def test_the_copy_of_a_running_folder_is_not_mistaken_for_the_original(folder: Path) -> None:
    original = quick(folder / "hub")
    (folder / "copy" / "postgres").mkdir(parents=True)
    shutil.copy(original.pgdata / "postmaster.pid", folder / "copy" / "postgres")
    assert running(folder / "copy") is None


def test_a_stale_pid_file_that_names_another_program_is_no_obstacle(data_dir: Path) -> None:
    server = quick(data_dir)
    pid_file, lock = server.pgdata / "postmaster.pid", server.socket_dir / ".s.PGSQL.5432.lock"
    contents = {file: file.read_text() for file in (pid_file, lock)}
    stop(server)
    owner = server.pgdata.stat()
    other = subprocess.Popen(["sleep", "600"], user=owner.st_uid, group=owner.st_gid)
    try:
        for file, content in contents.items():
            file.write_text(content.replace(str(server.pid), str(other.pid), 1))
            os.chown(file, owner.st_uid, owner.st_gid)
        assert running(data_dir) is None
        again = quick(data_dir)
        assert again.started
        assert sql(again, "SELECT 1") == "1"
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_an_empty_pid_file_is_no_obstacle(data_dir: Path) -> None:
    server = quick(data_dir)
    stop(server)
    (server.pgdata / "postmaster.pid").touch()
    assert quick(data_dir).started


def test_an_interrupted_initdb_is_made_anew(data_dir: Path) -> None:
    starter = in_another_process(data_dir)
    while not (data_dir / "postgres.init" / "PG_VERSION").exists():
        assert starter.poll() is None, starter.communicate()
    os.killpg(starter.pid, signal.SIGKILL)
    starter.communicate()
    assert not (data_dir / "postgres").exists()
    assert sql(quick(data_dir), "SELECT 1") == "1"
    assert not (data_dir / "postgres.init").exists()


def test_an_initdb_that_outlives_its_starter_is_waited_for(data_dir: Path) -> None:
    starter = in_another_process(data_dir)
    while not (data_dir / "postgres.init" / "PG_VERSION").exists():
        assert starter.poll() is None, starter.communicate()
    starter.kill()
    starter.communicate()
    assert sql(quick(data_dir), "SELECT 1") == "1"


def test_only_the_owner_can_read_the_cluster_and_its_socket(data_dir: Path) -> None:
    server = quick(data_dir)
    assert mode(server.pgdata) == 0o700
    assert mode(server.socket_dir / ".s.PGSQL.5432") == 0o700
    assert not mode(data_dir) & 0o007


def test_it_listens_on_no_tcp_port_and_speaks_utf8_in_utc(data_dir: Path) -> None:
    server = quick(data_dir)
    wanted = {
        "listen_addresses": "",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "data_checksums": "on",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "fsync": "off",
    }
    assert {name: sql(server, f"SHOW {name}") for name in wanted} == wanted
    locale = "SELECT datlocale, datcollate FROM pg_database WHERE datname = 'postgres'"
    assert sql(server, locale) == "C.UTF-8|C.UTF-8"
    stop(server)
    assert sql(start(data_dir), "SHOW fsync") == "on"


@pytest.mark.parametrize("name", ["long" * 30, 'we"ird $HOME `x`, a:b'])
async def test_a_folder_whose_path_is_unfit_for_a_socket_gets_a_private_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    server = quick(folder / name)
    assert server.socket_dir != server.pgdata
    assert mode(server.socket_dir) == 0o700
    engine = create_async_engine(server.url)
    async with engine.connect() as connection:
        place = await connection.scalar(text("SHOW data_directory"))
    await engine.dispose()
    assert place == str(server.pgdata)
    assert quick(folder / name).pid == server.pid


def test_a_socket_folder_of_somebody_else_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    server = quick(folder / ("long" * 30))
    stop(server)
    server.socket_dir.chmod(0o777)
    with pytest.raises(ConfigurationError) as refusal:
        quick(folder / ("long" * 30))
    assert str(server.socket_dir) in one_line(refusal)


async def test_the_url_works_with_asyncpg(data_dir: Path) -> None:
    server = quick(data_dir)
    sql(server, 'CREATE DATABASE "the hub"')
    engine = create_async_engine(server.url_for("the hub"))
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT current_database()")) == "the hub"
    await engine.dispose()


def test_its_programs_are_of_the_servers_version(data_dir: Path) -> None:
    server = quick(data_dir)
    dump = subprocess.run([server.binary("pg_dump"), "--version"], capture_output=True, text=True)
    assert sql(server, "SHOW server_version") in dump.stdout


def test_the_context_manager_stops_what_it_started_even_after_an_error(data_dir: Path) -> None:
    def fail_inside() -> None:
        with embedded_postgres(data_dir, durable=False) as server:
            assert running(data_dir) == replace(server, started=False)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert running(data_dir) is None


def test_of_two_hubs_on_one_folder_the_last_to_leave_stops_the_server(data_dir: Path) -> None:
    with embedded_postgres(data_dir, durable=False) as first:
        with embedded_postgres(data_dir) as second:
            assert second.pid == first.pid
        assert running(data_dir) is not None
    assert running(data_dir) is None


def test_a_missing_extra_names_both_ways_on(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, embedded.PACKAGE, None)
    for act in (start, lambda path: embedded_postgres(path).__enter__()):
        with pytest.raises(ConfigurationError) as refusal:
            act(data_dir)
        assert "pip install 'backend-hub[embedded]'" in one_line(refusal)
        assert "DATABASE_URL" in one_line(refusal)


def test_the_wheels_python_side_is_never_imported(data_dir: Path) -> None:
    quick(data_dir)
    assert embedded.PACKAGE not in sys.modules


def test_a_cluster_of_another_major_version_is_refused(data_dir: Path) -> None:
    server = quick(data_dir)
    stop(server)
    (server.pgdata / "PG_VERSION").write_text("16\n")
    with pytest.raises(ConfigurationError) as refusal:
        quick(data_dir)
    assert "PostgreSQL 16" in one_line(refusal)


def test_a_failed_start_says_what_the_log_says(data_dir: Path) -> None:
    server = quick(data_dir)
    stop(server)
    with (server.pgdata / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = nonsense\n")
    with pytest.raises(ConfigurationError) as refusal:
        quick(data_dir)
    assert "FATAL" in one_line(refusal)


def test_a_folder_that_is_no_cluster_is_left_alone(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres" / "diary.txt").write_text("dear diary")
    with pytest.raises(ConfigurationError) as refusal:
        quick(data_dir)
    assert str(data_dir / "postgres") in one_line(refusal)
    assert (data_dir / "postgres" / "diary.txt").read_text() == "dear diary"


def test_a_server_that_only_another_container_sees_is_not_doubled(data_dir: Path) -> None:
    stop(quick(data_dir))
    with (data_dir / "postgres.alive").open("a") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError) as refusal:
            quick(data_dir)
        assert "another container" in one_line(refusal)
    assert quick(data_dir).started


@linux
def test_every_postgres_process_holds_the_mark_of_life(data_dir: Path) -> None:
    server = quick(data_dir)
    with (data_dir / "postgres.alive").open("a") as alive, pytest.raises(BlockingIOError):
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    stop(server)
    with (data_dir / "postgres.alive").open("a") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)


@linux
def test_it_has_its_own_session_and_none_of_our_sockets(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        server = quick(data_dir)
        ours = os.readlink(f"/proc/self/fd/{listener.fileno()}")
    descriptors = list(Path(f"/proc/{server.pid}/fd").iterdir())
    assert ours not in [os.readlink(descriptor) for descriptor in descriptors]
    assert os.readlink(f"/proc/{server.pid}/fd/0") == "/dev/null"
    assert os.getsid(server.pid) != os.getsid(0)
    assert os.getpgid(server.pid) != os.getpgid(0)


@as_root
def test_an_ordinary_user_runs_it_as_itself(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, NOBODY, NOBODY)
    assert as_nobody(lambda: quick(data_dir).started) == "True"
    server = running(data_dir)
    assert server is not None
    assert {server.pgdata.stat().st_uid, Path(f"/proc/{server.pid}").stat().st_uid} == {NOBODY}
    assert as_nobody(lambda: stop(server)) == "None"
    assert quick(data_dir).pgdata.stat().st_uid == NOBODY, "root runs it as the owner of the files"


@as_root
def test_a_folder_that_cannot_be_written_gives_one_line(data_dir: Path) -> None:
    refusal = as_nobody(lambda: quick(data_dir))
    assert refusal.startswith("ConfigurationError: ")
    assert f"Permission denied: '{data_dir}'" in refusal
    assert "\n" not in refusal


@as_root
def test_under_a_closed_folder_the_cluster_is_a_link_and_the_folder_stays_closed(
    folder: Path,
) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    data_dir = closed / "checkout" / "hub"
    server = quick(data_dir)
    sql(server, "CREATE TABLE kept AS SELECT 42 AS value")
    assert (data_dir / "postgres").is_symlink()
    assert server.pgdata.is_relative_to(embedded.ROOT_HOME)
    assert mode(closed) == 0o700
    stop(server)
    stop(quick(data_dir))
    closed.chmod(0o755)
    again = quick(data_dir)
    assert again.pgdata == server.pgdata, "the link decides, not today's modes"
    assert sql(again, "SELECT value FROM kept") == "42"
    stop(again)
    shutil.rmtree(again.pgdata.parent)
    with pytest.raises(ConfigurationError) as refusal:
        quick(data_dir)
    assert "is gone" in one_line(refusal)


@as_root
def test_programs_in_a_closed_folder_are_copied(
    folder: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = embedded._wheel()
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(wheel, closed / wheel.parent.name / wheel.name)
    libraries = f"{embedded.PACKAGE}.libs"
    shutil.copytree(wheel.parents[1] / libraries, closed / libraries)
    monkeypatch.setattr(embedded, "_wheel", lambda: closed / wheel.parent.name / wheel.name)
    for _ in range(2):
        server = quick(data_dir)
        assert sql(server, "SELECT 1") == "1"
        stop(server)
    assert len(list(embedded.ROOT_HOME.iterdir())) == 1
    assert mode(closed) == 0o700
