"""Hubs behind a proxy, with the configuration of deploy/ that people are told to use."""

import asyncio
import datetime
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.faults.machine import ENVIRONMENT
from tests.program.conftest import Program
from tests.serving import free_port, nginx_command

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = "hub.example.org"
PATIENCE = re.compile(
    r"\b(client_\w+_timeout|send_timeout|read_header|read_body|write|idle) (\d+)s"
)
"""What a configuration lets a client take its time for. The tests have a tenth of it."""


def write_certificate(folder: Path) -> None:
    """A certificate for NAME that nobody but the test believes."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "hub.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "hub.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@dataclass
class Front:
    """A proxy: where it keeps its files and listens, and the two ports that it asks."""

    folder: Path
    behind: tuple[int, int]
    secure: int = field(default_factory=free_port)
    plain: int = field(default_factory=free_port)

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.folder / "hub.pem")

    def client(self) -> httpx.AsyncClient:
        url = f"https://localhost:{self.secure}"
        return httpx.AsyncClient(base_url=url, verify=self.trust, timeout=30)

    def adapted(self, name: str, changes: dict[str, str]) -> str:
        """A file of deploy/ with the ports of this test and these changes."""
        text = (DEPLOY / name).read_text()
        one, two = self.behind
        changes |= {"127.0.0.1:8001": f"127.0.0.1:{one}", "127.0.0.1:8002": f"127.0.0.1:{two}"}
        for old, new in changes.items():
            assert old in text, f"{old} is not in {name}"
            text = text.replace(old, new)
        assert PATIENCE.search(text), f"no time limit of clients is in {name}"
        return PATIENCE.sub(lambda found: f"{found[1]} {found[2]}00ms", text)


def nginx(front: Front) -> list[str]:
    """The command that runs nginx with deploy/nginx.conf."""
    folder = front.folder
    site = front.adapted(
        "nginx.conf",
        {
            "listen 443": f"listen 127.0.0.1:{front.secure}",
            "listen 80": f"listen 127.0.0.1:{front.plain}",
            f"/etc/ssl/{NAME}.pem": f"{folder}/hub.pem",
            f"/etc/ssl/{NAME}.key": f"{folder}/hub.key",
            f"server_name {NAME}": "server_name localhost",
        },
    )
    return nginx_command(folder, site)


def caddy(front: Front) -> list[str]:
    """The command that runs Caddy with deploy/Caddyfile."""
    folder = front.folder
    here = (
        "admin off",
        "default_bind 127.0.0.1",
        f"http_port {front.plain}",
        f"https_port {front.secure}",
    )
    main = folder / "Caddyfile"
    main.write_text(
        front.adapted(
            "Caddyfile",
            {
                "{\n\tservers {": "\n\t".join(("{", *here, "servers {")),
                f"Host {NAME}": "Host localhost",
                f"\n{NAME} {{": f"\nlocalhost {{\n\ttls {folder}/hub.pem {folder}/hub.key",
            },
        )
    )
    return ["caddy", "run", "--config", str(main)]


PROXIES: dict[str, Callable[[Front], list[str]]] = {"nginx": nginx, "caddy": caddy}


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(proxy: str, front: Front) -> Iterator[None]:
    """The proxy, until the block ends."""
    if shutil.which(proxy) is None:
        pytest.skip(f"{proxy} is not installed")
    write_certificate(front.folder)
    command = PROXIES[proxy](front)
    with (front.folder / "proxy.log").open("w") as log:
        home = os.environ | {"HOME": str(front.folder)}
        process = subprocess.Popen(command, env=home, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 10
        while not answers(front.secure):
            assert time.monotonic() < deadline, (front.folder / "proxy.log").read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


@dataclass
class Site:
    """Two processes of one hub, and the proxy in front of them."""

    front: Front
    hubs: list[Program]


@asynccontextmanager
async def behind(proxy: str, folder: Path, **environment: str) -> AsyncIterator[Site]:
    """Two processes with these settings, on a database that is migrated first."""
    one, two = (Program(folder / name, ENVIRONMENT | environment) for name in ("one", "two"))
    front = Front(folder, (one.port, two.port))
    for hub in (one, two):
        hub.folder.mkdir()
        hub.environment |= {
            "HUB_ENVIRONMENT": "production",
            "HUB_PUBLIC_URL": f"https://localhost:{front.secure}",
            "HUB_LOG_LEVEL": "info",
            "HUB_LOG_FORMAT": "json",
        }
    try:
        assert (await asyncio.to_thread(one.run, "migrate")).returncode == 0
        await asyncio.gather(*(asyncio.to_thread(hub.start) for hub in (one, two)))
        with running(proxy, front):
            yield Site(front, [one, two])
    finally:
        for hub in (one, two):
            hub.clean_up()
