"""Slow down password guessing: after too many failures an account rests for a while."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class LoginThrottle:
    """Counts failures per account name. `clock` returns seconds, so tests can bring their own."""

    clock: Callable[[], float]
    max_failures: int = 3
    base_delay: float = 30.0
    max_delay: float = 600.0
    _failures: dict[str, int] = field(default_factory=dict)
    _blocked_until: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_failures < 1:
            raise ValueError("max_failures must be at least 1")

    def seconds_to_wait(self, account: str) -> float:
        """0.0 means: go ahead and check the password."""
        return max(0.0, self._blocked_until.get(_key(account), 0.0) - self.clock())

    def failed(self, account: str) -> None:
        key = _key(account)
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        excess = failures - self.max_failures
        if excess >= 0:
            delay = min(self.base_delay * 2 ** min(excess, 30), self.max_delay)
            self._blocked_until[key] = self.clock() + delay

    def succeeded(self, account: str) -> None:
        self._failures.pop(_key(account), None)
        self._blocked_until.pop(_key(account), None)


def _key(account: str) -> str:
    return account.strip().casefold()


def log_in(
    throttle: LoginThrottle, check_password: Callable[[str, str], bool], account: str, password: str
) -> str:
    """Returns "ok", "wrong" or "wait". The password is not even looked at while waiting."""
    if throttle.seconds_to_wait(account) > 0:
        return "wait"
    if check_password(account, password):
        throttle.succeeded(account)
        return "ok"
    throttle.failed(account)
    return "wrong"
