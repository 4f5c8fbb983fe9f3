"""Two API processes behind nginx, with the configuration of deploy/nginx.conf."""

import asyncio
import datetime
import os
import shutil
import signal
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conftest import make_database
from tests.faults.machine import ENVIRONMENT, people
from tests.hub import question
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


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    url = await make_database(database_url, f"hub_behind_nginx_{os.getpid()}")
    secure, plain = free_port(), free_port()
    hubs = [
        Program(
            tmp_path / name,
            ENVIRONMENT
            | {
                "HUB_ENVIRONMENT": "production",
                "HUB_PUBLIC_URL": f"https://localhost:{secure}",
                "HUB_DATABASE_URL": url,
                "HUB_LOG_LEVEL": "info",
                "HUB_LOG_FORMAT": "json",
            },
        )
        for name in ("one", "two")
    ]
    for hub in hubs:
        hub.folder.mkdir()
    assert (await asyncio.to_thread(hubs[0].run, "migrate")).returncode == 0
    await asyncio.gather(*(asyncio.to_thread(hub.start) for hub in hubs))
    write_certificate(tmp_path)
    main = configure(tmp_path, hubs, secure, plain)
    nginx = start_nginx(main)
    site = Site(f"https://localhost:{secure}", f"http://localhost:{plain}", tmp_path, hubs)
    deadline = time.monotonic() + 10
    async with site.client() as client:
        while time.monotonic() < deadline:
            try:
                if (await client.get("/health/live")).status_code == 200:
                    break
            except httpx.TransportError:
                await asyncio.sleep(0.1)
    try:
        yield site
    finally:
        nginx.send_signal(signal.SIGTERM)
        nginx.communicate(timeout=20)
        for hub in hubs:
            hub.clean_up()


def served(hub: Program) -> int:
    return hub.log.count('"event": "request"')


async def test_two_processes_behind_nginx_are_one_hub(site: Site) -> None:
    [person] = await people(site.hubs[0], 1)
    async with site.client() as client:
        for number in range(10):  # what one process acknowledged, the other one shows
            form = question(f"Number {number}")
            asked = await client.post("/api/v1/questions", json=form, headers=person)
            assert asked.status_code == 201, asked.text
            for _ in range(2):
                assert (await client.get(asked.headers["Location"])).status_code == 200
        assert all(served(hub) > 5 for hub in site.hubs)

        forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
        assert (await client.get("/api/v1/questions", headers=forged)).status_code == 200
        large = await client.post("/api/v1/questions", content=b"x" * 1_500_000, headers=person)
        assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
        assert (await client.get("/metrics")).status_code == 404
        plain = await client.get(f"{site.plain}/docs")
        assert (plain.status_code, plain.headers["Location"][:5]) == (308, "https")

        await asyncio.to_thread(site.hubs[0].stop, signal.SIGTERM)
        answers = [await client.get("/api/v1/questions") for _ in range(20)]
        assert Counter(answer.status_code for answer in answers) == {200: 20}
        await asyncio.to_thread(site.hubs[0].start)
        answers = [await client.get("/api/v1/questions") for _ in range(20)]
        assert Counter(answer.status_code for answer in answers) == {200: 20}
        for hub in site.hubs:
            await asyncio.to_thread(hub.stop, signal.SIGTERM)
        away = await client.get("/api/v1/questions")
        assert (away.status_code, away.json()["code"]) == (503, "unavailable")
        assert away.headers["Retry-After"] == "2"
