"""Passwords: Argon2id in a bounded thread pool, and which ones are refused (NIST SP 800-63B)."""

import functools
import unicodedata

import anyio
import anyio.to_thread
from anyio import CapacityLimiter
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

MINIMUM_LENGTH = 15
MINIMUM_WITH_FACTOR = 8
"""For accounts with a second factor (NIST SP 800-63B 3.1.1.2)."""
MAXIMUM_LENGTH = 256

# 19 MiB, two passes, one lane: OWASP's Password Storage Cheat Sheet.
_hasher = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))
_DUMMY = _hasher.hash("somebody who is not here")

COMMON_WORDS = frozenset(
    """
    password passwort passw0rd p@ssw0rd p@ssword contrasena motdepasse senha qwerty qwertz qwertyui
    qwertyuiop azerty azertyuiop asdfgh asdfghjk asdfghjkl zxcvbn zxcvbnm qazwsx qazwsxedc wsxedc
    iloveyou ilovegod letmein trustno welcome welcomeback admin administrator administration root
    superuser login changeme default secret topsecret mysecret test testing tester testtest guest
    monkey dragon master masterkey football baseball basketball softball hockey soccer superman
    batman spiderman pokemon starwars sunshine princess shadow michael jennifer jordan jessica
    ashley charlie thomas daniel andrew matthew joshua robert william elizabeth victoria alexander
    samsung google facebook internet computer server backend database developer github gitlab
    mustang corvette ferrari mercedes chelsea arsenal liverpool barcelona juventus realmadrid
    chocolate butterfly flower summer winter spring autumn january december november whatever
    freedom hunter killer matrix phoenix tigger ginger cookie pepper maggie buster harley ranger
    abcdef abcdefg abcdefgh abc aaaaaaaa hello helloworld hellohello computer1 access mynoob
    startrek midnight rainbow diamond silver golden purple orange yellow platinum blink scooter
    backendhub
    """.split()  # noqa: SIM905
)
"""With digits and marks around them, these are what short passwords mostly are."""
COMMON = frozenset(
    """
    passwordpassword password123456789 passw0rdpassw0rd letmeinletmein12 iloveyouiloveyou
    administrator123 administratoradmin changemechangeme welcomewelcome12 qwertyuiopasdfgh
    qwertyuiop123456 qwertyqwerty1234 1qaz2wsx3edc4rfv q1w2e3r4t5y6u7i8 zaq12wsxcde34rfv
    correcthorsebatterystaple thisisapassword mypasswordismypassword supersecretpassword
    trustno1trustno1 monkeymonkeymonkey dragondragondragon footballfootball baseballbaseball
    sunshinesunshine princessprincess superman superman123456 asdfghjklasdfghjkl zxcvbnmzxcvbnm12
    password password1 password12 password123 password1234 passw0rd p@ssw0rd p@ssword pa55word
    iloveyou iloveyou1 iloveyou2 princess princess1 sunshine sunshine1 football football1 baseball
    baseball1 superman1 trustno1 letmein1 letmein123 welcome1 welcome12 welcome123 admin123
    admin1234 administrator changeme changeme1 changeme123 qwerty12 qwerty123 qwerty1234 qwerty12345
    1q2w3e4r 1q2w3e4r5t 1qaz2wsx zaq12wsx q1w2e3r4 q1w2e3r4t5 qazwsxedc abcd1234 abc12345 abc123456
    starwars starwars1 whatever whatever1 computer computer1 internet michelle jennifer mercedes
    corvette bigdaddy dragon123 monkey123 shadow123 master123 michael1 charlie1 jordan23 maverick
    liverpool chocolate butterfly elephant strawberry cocacola password! password1! summer2024
    winter2024 spring2024 autumn2024 hello123 hello1234 secret123 test1234 testtest asdfasdf
    qwerqwer zxcvbnm1 asdf1234 qwer1234 a1b2c3d4 aa123456 pass1234 login123 google123 pokemon1
    """.split()  # noqa: SIM905
)
_TRIMMINGS = "0123456789!?.,;:-_+*#$%&@()=/ "
_RUNS = "abcdefghijklmnopqrstuvwxyz" * 2, "0123456789" * 5, "qwertyuiopasdfghjklzxcvbnm" * 2


@functools.cache
def _threads() -> CapacityLimiter:
    """At most two hashes at once: each takes 19 MiB and a core."""
    return CapacityLimiter(2)


def _normal(password: str) -> str:
    """One spelling of characters that keyboards compose differently (NIST SP 800-63B 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


async def hash_password(password: str) -> str:
    return await anyio.to_thread.run_sync(_hasher.hash, _normal(password), limiter=_threads())


async def verify_password(password: str, password_hash: str | None) -> tuple[bool, str | None]:
    """Whether it matches, and a new hash when the parameters changed since it was made.

    Without a hash the same work is done on a dummy, so that time tells nothing.
    """
    verified, renewed = await anyio.to_thread.run_sync(
        _hasher.verify_and_update,
        _normal(password),
        password_hash or _DUMMY,
        limiter=_threads(),
    )
    return (verified, renewed) if password_hash else (False, None)


def weakness(
    password: str, username: str = "", email: str = "", *, second_factor: bool = False
) -> str | None:
    """Why a password is refused, or None. No rules of composition, nothing is cut off.

    With a second factor a shorter one is enough.
    """
    minimum = MINIMUM_WITH_FACTOR if second_factor else MINIMUM_LENGTH
    if len(password) < minimum:
        return f"must have at least {minimum} characters; a few words together are fine"
    if len(password) > MAXIMUM_LENGTH:
        return f"must have at most {MAXIMUM_LENGTH} characters"
    plain = "".join(_normal(password).lower().split())
    known_word = plain.strip(_TRIMMINGS) in COMMON_WORDS or plain in COMMON_WORDS
    if known_word or plain in COMMON or len(set(plain)) < 5 or any(plain in r for r in _RUNS):
        return "is among the first that anyone would guess"
    for known in (username, email, email.partition("@")[0]):
        if len(known) >= 3 and len(plain.replace(known.lower(), "")) < 6:
            return "is little more than your name"
    return None
