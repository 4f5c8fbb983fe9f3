"""Does time tell who has an account? `python -m bench.sign_in_times [tries]`

Asks a hub of its own, turn by turn, for what a stranger would compare; prints milliseconds.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from sqlalchemy import delete, update

from backend_hub.app import create_app, lifespan
from backend_hub.auth.models import EmailToken, Throttle
from backend_hub.db import utcnow
from backend_hub.embedded import embedded_postgres
from backend_hub.logs import configure_logging
from backend_hub.mail.models import Mail
from backend_hub.migrate import upgrade
from backend_hub.settings import load_settings
from backend_hub.users.models import User

PASSWORD = "seven calm otters swim"
LIMITS = {"rate_limit": "1000000/minute", "sign_in_rate_limit": "1000000/minute"}
Ask = Callable[[int], Awaitable[httpx.Response]]


async def measure(url: str, folder: str, tries: int) -> None:
    settings = load_settings(
        database_url=url,
        data_dir=Path(folder),
        public_url="http://hub",
        log_level="error",
        **LIMITS,
    )
    configure_logging(settings)
    app = create_app(settings.model_copy(update={"allowed_hosts": ["*"]}))
    async with (
        lifespan(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://hub/api/v1/auth"
        ) as client,
    ):

        def register(name: str, email: str) -> Awaitable[httpx.Response]:
            form = {"username": name, "email": email, "password": PASSWORD}
            return client.post("/register", json=form)

        async def forget_tries() -> None:
            async with app.state.database.transaction() as session:
                for table in (Throttle, Mail, EmailToken):
                    await session.execute(delete(table))

        def token(name: str) -> Ask:
            form = {"username": name, "password": "a wrong password"}
            return lambda _: client.post("/token", data=form)

        def forgot(email: str) -> Ask:
            return lambda _: client.post("/forgot", json={"email": email})

        assert (await register("ann", "ann@example.org")).status_code == 201
        async with app.state.database.transaction() as session:
            await session.execute(update(User).values(email_verified_at=utcnow()))
        questions: dict[str, Ask] = {
            "sign in, wrong password": token("ann"),
            "sign in, unknown name": token("nobody"),
            "forgot, known address": forgot("ann@example.org"),
            "forgot, unknown address": forgot("nobody@example.org"),
            "register, known address": lambda n: register(f"known-{n}", "ann@example.org"),
            "register, unknown address": lambda n: register(f"other-{n}", f"{n}@example.org"),
        }
        times: dict[str, list[float]] = {name: [] for name in questions}
        for n in range(tries + 5):
            for name, ask in questions.items():
                await forget_tries()
                began = time.perf_counter()
                answer = await ask(n)
                if n >= 5:  # the first ones warm up
                    times[name].append((time.perf_counter() - began) * 1000)
                assert answer.status_code in {201, 202, 401}, answer.text
    print(f"{tries} tries each, ms      p10     p50     p90")
    for name, values in times.items():
        deciles = statistics.quantiles(values, n=10)
        print(f"{name:26}{deciles[0]:7.2f} {deciles[4]:7.2f} {deciles[8]:7.2f}")


def main() -> None:
    tries = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with (
        tempfile.TemporaryDirectory(prefix="hub-times-") as folder,
        embedded_postgres(Path(folder), durable=False) as server,
    ):
        upgrade(server.url)
        asyncio.run(measure(server.url, folder, tries))


if __name__ == "__main__":
    main()
