"""Processes behind nginx, with the configuration of deploy/nginx.conf."""

import asyncio
import datetime
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.faults.machine import ENVIRONMENT
from tests.program.conftest import Program
from tests.serving import free_port

CONFIGURATION = Path(__file__).parents[2] / "deploy/nginx.conf"
NAME = "hub.example.org"


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
class Site:
    """Two processes of one hub, and the proxy in front of them."""

    url: str
    plain: str
    folder: Path
    hubs: list[Program]

    def client(self) -> httpx.AsyncClient:
        trust = ssl.create_default_context(cafile=self.folder / "hub.pem")
        return httpx.AsyncClient(base_url=self.url, verify=trust, timeout=30)


def configure(folder: Path, hubs: list[Program], secure: int, plain: int) -> Path:
    """deploy/nginx.conf with the ports, the name and the certificate of this test."""
    text = CONFIGURATION.read_text()
    changes = {
        "127.0.0.1:8001": f"127.0.0.1:{hubs[0].port}",
        "127.0.0.1:8002": f"127.0.0.1:{hubs[1].port}",
        "listen 443": f"listen 127.0.0.1:{secure}",
        "listen 80": f"listen 127.0.0.1:{plain}",
        f"/etc/ssl/{NAME}.pem": f"{folder}/hub.pem",
        f"/etc/ssl/{NAME}.key": f"{folder}/hub.key",
        f"server_name {NAME}": "server_name localhost",
    }
    for old, new in changes.items():
        assert old in text, f"{old} is not in {CONFIGURATION}"
        text = text.replace(old, new)
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\ndaemon off;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{places}{text}\n}}\n"
    )
    return main


def start_nginx(main: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["nginx", "-c", main, "-p", main.parent], stderr=subprocess.PIPE)


@asynccontextmanager
async def behind_nginx(folder: Path, **environment: str) -> AsyncIterator[Site]:
    """Two processes with these settings, on a database that is migrated first."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    secure, plain = free_port(), free_port()
    settings = {
        "HUB_ENVIRONMENT": "production",
        "HUB_PUBLIC_URL": f"https://localhost:{secure}",
        "HUB_LOG_LEVEL": "info",
        "HUB_LOG_FORMAT": "json",
    }
    hubs = [Program(folder / name, ENVIRONMENT | settings | environment) for name in ("one", "two")]
    for hub in hubs:
        hub.folder.mkdir()
    nginx = None
    try:
        assert (await asyncio.to_thread(hubs[0].run, "migrate")).returncode == 0
        await asyncio.gather(*(asyncio.to_thread(hub.start) for hub in hubs))
        write_certificate(folder)
        nginx = start_nginx(configure(folder, hubs, secure, plain))
        site = Site(f"https://localhost:{secure}", f"http://localhost:{plain}", folder, hubs)
        await answers(site)
        yield site
    finally:
        if nginx is not None:
            nginx.send_signal(signal.SIGTERM)
            nginx.communicate(timeout=20)
        for hub in hubs:
            hub.clean_up()


async def answers(site: Site) -> None:
    """Wait until the proxy takes connections."""
    deadline = time.monotonic() + 10
    async with site.client() as client:
        while time.monotonic() < deadline:
            try:
                if (await client.get("/health/live")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.1)
