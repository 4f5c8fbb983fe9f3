"""Headers as the server has them: pairs of bytes, the names in small letters.

Starlette's classes turn each into text and back; the layers around every request need not.
"""

from collections.abc import Iterable

Pairs = Iterable[tuple[bytes, bytes]]


def first(headers: Pairs, name: bytes) -> bytes | None:
    """The value of a header, the first when it was sent more than once."""
    for known, value in headers:
        if known == name:
            return value
    return None


def every(headers: Pairs, name: bytes) -> list[bytes]:
    """Its values."""
    return [value for known, value in headers if known == name]


def without(headers: Pairs, *names: bytes) -> list[tuple[bytes, bytes]]:
    return [pair for pair in headers if pair[0] not in names]


def varied(headers: Pairs, name: bytes) -> list[tuple[bytes, bytes]]:
    """With a name in `Vary`."""
    known = every(headers, b"vary")
    if any(name.lower() in value.lower() for value in known):
        return list(headers)
    return [*without(headers, b"vary"), (b"vary", b", ".join([*known, name]))]
