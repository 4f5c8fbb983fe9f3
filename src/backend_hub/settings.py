"""Every setting of the hub: one typed class, read from `HUB_*` variables and `.env`."""

import secrets
from email.utils import formataddr
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backend_hub.errors import ConfigurationError
from backend_hub.setting_types import DatabaseUrl, MailFrom, Origin, SmtpUrl

MINIMUM_SECRET_LENGTH = 32
MINIMUM_TOKEN_LENGTH = 16
WEAK_SECRETS = ("change", "secret", "password", "example", "default", "12345678")


class Settings(BaseSettings):
    """The hub's settings.

    Outside development the hub refuses to start with a weak or missing secret, with CORS open to
    every origin, or with an issuer over plain http.
    """

    model_config = SettingsConfigDict(
        env_prefix="HUB_", env_file=".env", env_file_encoding="utf-8", extra="ignore"
    )

    environment: Literal["development", "production"] = Field(
        "development",
        description="`development` makes its own secrets, seeds demo accounts with a known "
        "password, and listens on and answers to loopback names only.",
    )
    name: str = Field("Backend Hub", max_length=80, description="The hub's name on its pages.")
    public_url: str = Field(
        "http://127.0.0.1:8000",
        description="Where people reach the hub; the issuer of its tokens. https in production. "
        "Passkeys belong to its host name, and need one: an IP address has none.",
    )
    contact_url: str = Field(
        "https://github.com/backend-hub/backend-hub",
        description="Where people reach the operators; shown in the OpenAPI document.",
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="At least 32 random characters; encrypts signing keys, second factors and "
        "providers' secrets at rest. "
        'Make one with `python -c "import secrets; print(secrets.token_urlsafe(48))"`.',
    )
    data_dir: Path = Field(
        Path(".hub"),
        description="Holds the embedded PostgreSQL and the development secret. Mode 0700.",
    )

    database_url: DatabaseUrl = Field(
        "",
        description="`postgresql://user:password@host:5432/name`. Empty: the embedded PostgreSQL. "
        "`DATABASE_URL` without the prefix is read too.",
    )
    database_replica_url: DatabaseUrl = Field(
        "",
        description="A replica of one host, as above: who is not signed in reads from it, and may "
        "see what was there seconds ago.",
    )
    database_replica_lag: float = Field(
        10, ge=1, le=300, description="Seconds that the replica may be behind; else it is not used."
    )
    database_pool_size: int = Field(
        10, ge=1, le=200, description="Connections per process, and to the replica as many."
    )
    database_pool_timeout: float = Field(
        2.5, gt=0, le=30, description="Seconds to wait for a free connection before 503."
    )
    database_statement_timeout: int = Field(
        8_000, ge=100, description="Milliseconds before PostgreSQL cancels a statement."
    )
    database_lock_timeout: int = Field(
        3_000, ge=100, description="Milliseconds to wait for a lock before 503."
    )

    cors_origins: Annotated[list[Origin], NoDecode] = Field(
        default_factory=list,
        description="Comma-separated origins of browser apps that may call the API, beside those "
        "of registered apps.",
    )
    allowed_hosts: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Comma-separated host names that the hub answers to. Empty: all; in "
        "development loopback names.",
    )
    forwarded_allow_ips: str = Field(
        "127.0.0.1", description="Proxies whose X-Forwarded-* headers are believed."
    )

    access_token_ttl: int = Field(600, ge=60, le=3600, description="Seconds.")
    refresh_token_ttl: int = Field(
        30 * 24 * 3600, ge=3600, description="Seconds until a sign-in ends, rotated or not."
    )
    refresh_token_grace: int = Field(
        30, ge=0, le=120, description="Seconds in which the direct parent may be used again."
    )
    session_ttl: int = Field(
        14 * 24 * 3600, ge=300, description="Seconds until a browser must sign in again."
    )
    session_idle_ttl: int = Field(
        2 * 24 * 3600, ge=60, description="Seconds without a request that end a browser's session."
    )
    password_sign_in: bool = Field(
        True, description="Whether `POST /api/v1/auth/token` is open (first-party use only)."
    )
    api_cookies: bool = Field(
        False,
        description="Whether the API takes the session cookie of the hub's pages, from pages of "
        "the hub's own origin only (docs/spa.md).",
    )
    dynamic_registration: bool = Field(
        False,
        description="Whether apps may register themselves at `/oauth/register` (RFC 7591). They "
        "are never verified: people are asked for consent each time.",
    )
    registration_open: bool = Field(True, description="Whether anyone may make an account.")

    github_client_id: str = Field(
        "", max_length=300, description="With its secret: people may sign in with GitHub."
    )
    github_client_secret: SecretStr = Field(
        SecretStr(""), description="Of the OAuth app at GitHub."
    )
    google_client_id: str = Field(
        "", max_length=300, description="With its secret: people may sign in with Google."
    )
    google_client_secret: SecretStr = Field(SecretStr(""), description="Of the client at Google.")
    gitlab_client_id: str = Field(
        "", max_length=300, description="With its secret: people may sign in with GitLab.com."
    )
    gitlab_client_secret: SecretStr = Field(
        SecretStr(""), description="Of the application at GitLab.com."
    )
    provider_timeout: float = Field(
        8, gt=0, le=30, description="Seconds that a provider whom people sign in with may take."
    )

    smtp_url: SmtpUrl = Field(
        SecretStr(""),
        description="`smtp://user:password@host:587` (STARTTLS; `?tls=none` for a relay without), "
        "or `smtps://`. Empty: in development mails are files in the data folder, shown at "
        "`/dev/mail`; else none is sent.",
    )
    mail_from: MailFrom = Field(
        "",
        description="`Backend Hub <hub@example.org>`, the sender of mails. Empty: `no-reply@` the "
        "host of the public URL.",
    )

    rate_limit: str = Field(
        "600/minute", description="Requests per address, and per account when signed in."
    )
    sign_in_rate_limit: str = Field(
        "20/minute", description="Sign-ins and registrations per address."
    )
    redis_url: str = Field(
        "", description="`redis://host:6379/0`: rate limits are shared by all processes."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important lines that are written."
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="For people, or one JSON object a line."
    )
    max_body_bytes: int = Field(1_000_000, ge=1_000, description="Bytes; a larger body is 413.")
    metrics_token: SecretStr = Field(
        SecretStr(""),
        description="At least 16 characters: `GET /metrics` answers Prometheus who sends them as "
        "a bearer token. Empty: 404.",
    )
    otlp_endpoint: str = Field(
        "",
        description="OpenTelemetry collector, such as `http://127.0.0.1:4318`: traces are sent "
        "there. Needs the extra `telemetry`.",
    )
    request_header_timeout: float = Field(
        10, gt=0, le=120, description="Seconds for a request's header to arrive."
    )
    request_body_timeout: float = Field(
        30, gt=0, le=600, description="Seconds for a request's body to arrive, else 408."
    )
    shutdown_grace: int = Field(
        10, ge=1, le=300, description="Seconds for requests in flight after SIGTERM."
    )

    @property
    def development(self) -> bool:
        return self.environment == "development"

    @property
    def issuer(self) -> str:
        """The `iss` of every token (RFC 9068 section 2.2), without a trailing slash."""
        return self.public_url.rstrip("/")

    @property
    def sender(self) -> str:
        """The `From` of every mail."""
        host = urlsplit(self.public_url).hostname or "localhost"
        return self.mail_from or formataddr((self.name, f"no-reply@{host}"))

    @property
    def hosts(self) -> list[str]:
        """The host names that the hub answers to."""
        return self.allowed_hosts or (
            ["127.0.0.1", "localhost", "[::1]"] if self.development else ["*"]
        )

    @property
    def embedded(self) -> bool:
        return not self.database_url

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, values: dict[str, object]) -> dict[str, object]:
        for name in ("cors_origins", "allowed_hosts"):
            value = values.get(name)
            if isinstance(value, str):
                values[name] = [part.strip() for part in value.split(",") if part.strip()]
        return values

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> "Settings":
        if 0 < len(self.metrics_token.get_secret_value()) < MINIMUM_TOKEN_LENGTH:
            raise ValueError("HUB_METRICS_TOKEN needs at least 16 characters")
        if self.database_replica_url and not self.database_url:
            raise ValueError("HUB_DATABASE_REPLICA_URL goes with HUB_DATABASE_URL")
        if self.database_replica_url.count("host=") > 1:
            raise ValueError("HUB_DATABASE_REPLICA_URL names one server")
        for name in ("github", "google", "gitlab"):
            secret = getattr(self, f"{name}_client_secret").get_secret_value()
            if bool(getattr(self, f"{name}_client_id")) != bool(secret):
                variable = f"HUB_{name.upper()}_CLIENT"
                raise ValueError(f"{variable}_ID and {variable}_SECRET go together")
        if self.development:
            return self
        secret = self.secret_key.get_secret_value()
        problems = []
        if len(secret) < MINIMUM_SECRET_LENGTH:
            problems.append("HUB_SECRET_KEY needs at least 32 random characters")
        elif any(word in secret.lower() for word in WEAK_SECRETS) or len(set(secret)) < 12:
            problems.append("HUB_SECRET_KEY is guessable")
        if "*" in self.cors_origins:
            problems.append("HUB_CORS_ORIGINS must name its origins, not *")
        if urlsplit(self.public_url).scheme != "https":
            problems.append("HUB_PUBLIC_URL must begin with https://")
        if problems:
            raise ValueError(
                "; ".join(problems)
                + ". For a trial on this machine set HUB_ENVIRONMENT=development"
            )
        return self


def prepare_data_dir(settings: Settings) -> Path:
    """Create the data folder, readable by its owner only, and return its absolute path."""
    path = settings.data_dir.expanduser().absolute()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (mode := path.stat().st_mode) & 0o067:  # root's PostgreSQL account may pass through: 0710
        path.chmod(mode & 0o710)
    return path


def _development_secret(settings: Settings) -> SecretStr:
    """A secret made once and kept in the data folder, so that a restart signs nobody out."""
    file = prepare_data_dir(settings) / "secret"
    try:
        with file.open("x", encoding="ascii") as handle:
            file.chmod(0o600)
            handle.write(secrets.token_urlsafe(48))
    except FileExistsError:
        pass
    return SecretStr(file.read_text(encoding="ascii").strip())


def load_settings(**overrides: object) -> Settings:
    """Read the settings; raises ConfigurationError with one line a problem."""
    plain = BareEnvironment()
    if plain.database_url and "database_url" not in overrides:
        overrides["database_url"] = plain.database_url
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [
            (f"HUB_{'_'.join(str(part) for part in item['loc']).upper()}: " if item["loc"] else "")
            + item["msg"].removeprefix("Value error, ")
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigurationError("; ".join(lines)) from None
    if settings.development and not settings.secret_key.get_secret_value():
        settings.secret_key = _development_secret(settings)
    return settings


class BareEnvironment(BaseSettings):
    """The one variable that hosting platforms set without a prefix."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")
    database_url: str = ""


@lru_cache
def get_settings() -> Settings:
    """The process's settings, read once."""
    return load_settings()


def settings_page() -> str:
    """Every setting in Markdown: docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Read from the environment and from `.env`, in this order of weight.",
    ]
    lines += ["`backend-hub settings` prints this page.", "", "| variable | default | meaning |"]
    lines += ["|---|---|---|"]
    for name, field in Settings.model_fields.items():
        value = field.get_default(call_default_factory=True)
        shown = value.get_secret_value() if isinstance(value, SecretStr) else value
        default = f"`{shown}`" if shown not in ("", []) else ""
        lines.append(f"| `HUB_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"
