"""Every refusal of the hub: a status, a stable code, a title (RFC 9457)."""

from collections.abc import Mapping
from typing import Any, ClassVar


class ConfigurationError(Exception):
    """The hub cannot start as it is configured; the message says how to mend it."""


class HubError(Exception):
    """A refusal that a client can act on.

    `status`, `code` and `title` belong to the class; `detail` says what happened this time,
    `headers` go on the answer and `extra` becomes members of the problem document.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.headers = dict(headers or {})
        self.extra = extra


class BadRequest(HubError):
    status, code, title = 400, "bad_request", "The request cannot be read"


class Unauthorized(HubError):
    status, code, title = 401, "unauthorized", "Sign in first"


class Forbidden(HubError):
    status, code, title = 403, "forbidden", "You may not do this"


class NotFound(HubError):
    status, code, title = 404, "not_found", "There is nothing here"


class Conflict(HubError):
    status, code, title = 409, "conflict", "The request conflicts with the current state"


class PreconditionFailed(HubError):
    status, code, title = 412, "precondition_failed", "Someone changed it meanwhile"


class Unprocessable(HubError):
    """A value that the schema could not refuse; `errors` has the form of a validation error."""

    status, code, title = 422, "validation_failed", "The request is not valid"

    def __init__(self, detail: str | None = None, *, loc: tuple[str | int, ...] = ()) -> None:
        message = detail or self.title
        super().__init__(
            message, errors=[{"loc": list(loc), "msg": message, "type": "value_error"}]
        )


class PreconditionRequired(HubError):
    status, code, title = 428, "precondition_required", "If-Match is required"


class RateLimited(HubError):
    status, code, title = 429, "rate_limited", "Too many requests"


class Unavailable(HubError):
    status, code, title = 503, "unavailable", "Try again in a moment"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})
