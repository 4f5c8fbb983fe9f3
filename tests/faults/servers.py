"""PostgreSQL servers of the wheel on a port, to fill, replicate, promote and kill."""

import os
import shlex
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import asyncpg

from backend_hub import embedded
from tests.serving import free_port


@dataclass
class Cluster:
    """A server in `folder`, run by the account that PostgreSQL needs when we are root."""

    folder: Path
    port: int = field(default_factory=free_port)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{database}"

    def call(self, program: str, *arguments: object) -> str:
        """Run a program of PostgreSQL as its account."""
        account = embedded._account(self.folder)
        binary = embedded._programs(account) / program
        done = embedded._run(binary, *arguments, account=account, cwd=self.folder)
        assert done.returncode == 0, f"{program}: {done.stdout} {done.stderr}"
        return done.stdout

    def own(self, path: Path) -> Path:
        """Make a folder of the account's."""
        path.mkdir(exist_ok=True)
        if account := embedded._account(self.folder):
            os.chown(path, *account)
        return path

    def create(self, *options: object) -> "Cluster":
        self.own(self.folder)
        auth = "--auth=trust"
        self.call("initdb", "-D", self.data, "-U", "postgres", auth, "--no-sync", *options)
        return self

    def replicate(self, primary: "Cluster") -> "Cluster":
        self.own(self.folder)
        place = f"host=127.0.0.1 port={primary.port} user=postgres application_name=replica"
        self.call("pg_basebackup", "-D", self.data, "-d", place, "-R", "-X", "stream", "-c", "fast")
        return self

    def start(self, **parameters: str) -> "Cluster":
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-c", "unix_socket_directories="]
        for name, value in parameters.items():
            options += ["-c", f"{name}={value}"]
        log = ["-l", "log", "-o", shlex.join(options)]
        self.call("pg_ctl", "start", "-D", self.data, "-w", *log)
        return self

    def runs(self) -> bool:
        account = embedded._account(self.folder)
        status = embedded._programs(account) / "pg_ctl"
        return embedded._run(status, "status", "-D", self.data, account=account).returncode == 0

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        self.call("pg_ctl", "stop", "-D", self.data, "-w", "-m", mode)

    def promote(self) -> None:
        self.call("pg_ctl", "promote", "-D", self.data, "-w")

    def remove(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def clusters(folder: Path, *names: str) -> Iterator[list[Cluster]]:
    """Places for servers; at the end of the block none is left."""
    made = [Cluster(folder / name) for name in names]
    try:
        yield made
    finally:
        for cluster in made:
            cluster.remove()


@contextmanager
def replicated(folder: Path) -> Iterator[tuple[Cluster, Cluster]]:
    """A primary, and a replica that follows it."""
    with clusters(folder, "primary", "replica") as (primary, replica):
        primary.create().start()
        replica.replicate(primary).start()
        yield primary, replica


@asynccontextmanager
async def connected(cluster: Cluster) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(cluster.url().replace("+asyncpg", ""))
    try:
        yield connection
    finally:
        await connection.close()
