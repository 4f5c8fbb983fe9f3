from unittest.mock import Mock

import pytest

from throttle import LoginThrottle, log_in


class FakeClock:
    """A clock that moves only when the test says so: no sleeping, no flaky timing."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def throttle(clock: FakeClock) -> LoginThrottle:
    return LoginThrottle(clock, max_failures=3, base_delay=30, max_delay=600)


def fail(throttle: LoginThrottle, account: str, times: int) -> None:
    for _ in range(times):
        throttle.failed(account)


@pytest.mark.parametrize(
    ("failures", "delay"),
    [
        pytest.param(0, 0, id="no-failure"),
        pytest.param(2, 0, id="just-below-the-limit"),
        pytest.param(3, 30, id="at-the-limit"),
        pytest.param(5, 120, id="doubles-each-time"),
        pytest.param(50, 600, id="never-above-the-maximum"),
    ],
)
def test_delay_grows_with_failures(throttle, failures, delay):
    fail(throttle, "ada", failures)
    assert throttle.seconds_to_wait("ada") == delay


def test_delay_runs_out(throttle, clock):
    fail(throttle, "ada", 3)
    clock.advance(29.5)
    assert throttle.seconds_to_wait("ada") == 0.5
    clock.advance(0.5)
    assert throttle.seconds_to_wait("ada") == 0


def test_accounts_do_not_affect_each_other(throttle):
    fail(throttle, "ada", 3)
    assert throttle.seconds_to_wait("linus") == 0


def test_spelling_does_not_get_around_the_limit(throttle):
    for spelling in ("ada", "ADA", " Ada "):
        throttle.failed(spelling)
    assert throttle.seconds_to_wait("ada") == 30


def test_success_forgets_earlier_failures(throttle):
    fail(throttle, "ada", 2)
    throttle.succeeded("ada")
    fail(throttle, "ada", 2)
    assert throttle.seconds_to_wait("ada") == 0


def test_nonsensical_limit_is_rejected(clock):
    with pytest.raises(ValueError, match="at least 1"):
        LoginThrottle(clock, max_failures=0)


def test_password_is_not_checked_while_waiting(throttle):
    check_password = Mock(return_value=True)
    fail(throttle, "ada", 3)
    assert log_in(throttle, check_password, "ada", "correct horse") == "wait"
    check_password.assert_not_called()


def test_wrong_passwords_lead_to_waiting_and_time_heals(throttle, clock):
    def check_password(account: str, password: str) -> bool:
        return password == "right"

    attempts = [log_in(throttle, check_password, "ada", "guess") for _ in range(4)]
    assert attempts == ["wrong", "wrong", "wrong", "wait"]

    clock.advance(30)
    assert log_in(throttle, check_password, "ada", "right") == "ok"
