"""An authenticator app, and people who turn their second factor on."""

import re
import time
from dataclasses import dataclass, field

import httpx
import pyotp
from sqlalchemy import update

from backend_hub.auth.models import SecondFactor
from tests.hub import PASSWORD, Hub
from tests.oauth.browsing import Surfer, surfer_at

PAGE = "/account/factors"


@dataclass
class App:
    """What a person's phone knows, and what they wrote down."""

    totp: pyotp.TOTP
    recovery_codes: list[str] = field(default_factory=list)

    def code(self, steps: int = 0) -> str:
        """The code of now, or of so many time steps later."""
        return self.totp.at(time.time(), counter_offset=steps)

    @property
    def wrong(self) -> str:
        """Six digits that are right at no time near."""
        near = {self.code(steps) for steps in range(-5, 6)}
        return next(
            code for code in ("000000", "000001", *map(str, range(10**5))) if code not in near
        )


def codes_on(page: httpx.Response) -> list[str]:
    return re.findall(r"<li><code>([a-z2-7-]+)</code></li>", page.text)


async def turn_on(hub: Hub, surfer: Surfer) -> App:
    """Set an authenticator app up, as a person who is signed in does."""
    page = await surfer.visit(PAGE)
    assert (await surfer.send(page, f"{PAGE}/app")).status_code == 303
    page = await surfer.visit(f"{PAGE}/app")
    secret = re.search(r'<code class="key">([^<]+)</code>', page.text)
    assert secret, page.text
    app = App(pyotp.TOTP(secret[1].replace(" ", "")))
    done = await surfer.send(page, f"{PAGE}/app/confirm", code=app.code())
    assert done.status_code == 200, done.text
    app.recovery_codes = codes_on(done)
    await forget_steps(hub)
    return app


async def forget_steps(hub: Hub) -> None:
    """As if the last code had been taken long ago."""
    async with hub.database.transaction() as session:
        await session.execute(update(SecondFactor).values(totp_last_step=0))


async def guarded(hub: Hub, username: str) -> tuple[Surfer, App]:
    """A new person with a second factor, signed in at a browser."""
    await hub.person(username)
    surfer = surfer_at(hub)
    await surfer.sign_in(username)
    return surfer, await turn_on(hub, surfer)


async def at_second_step(hub: Hub, username: str, target: str = "/") -> Surfer:
    """A fresh browser, where the password was right."""
    surfer = surfer_at(hub)
    page = await surfer.visit("/sign-in", params={"next": target})
    answer = await surfer.send(page, "/sign-in", username=username, password=PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in/second")
    return surfer


async def send_code(surfer: Surfer, code: str) -> httpx.Response:
    page = await surfer.visit("/sign-in/second")
    return await surfer.send(page, "/sign-in/second", code=code)


async def is_signed_in(surfer: Surfer) -> bool:
    return (await surfer.visit("/account")).status_code == 200
