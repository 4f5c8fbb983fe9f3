"""`backend-hub`: run the hub, and what its operators do on the command line."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn, TypeVar

import typer
import uvicorn
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from backend_hub import migrate as migrations
from backend_hub.backup import count_tables, major_version, read_backup, write_backup
from backend_hub.errors import ConfigurationError, HubError
from backend_hub.http.metrics import shared_metrics
from backend_hub.import_cli import import_commands
from backend_hub.keys_cli import key_commands
from backend_hub.logs import configure_logging
from backend_hub.running import migrated_database, running_database, with_session
from backend_hub.setting_types import LOOPBACK, without_password
from backend_hub.settings import Settings, load_settings, settings_page

# What one command alone needs is imported in it: `serve` is up a second earlier, and beside its
# workers it is half as large.
T = TypeVar("T")
out = Console()
err = Console(stderr=True)
app = typer.Typer(
    help="The self-hosted home of a community that learns backend development.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)

WORKER_START_WITHIN = 60
"""Seconds; uvicorn kills a worker that does not answer by then, and five are too few for a busy
machine: it would kill every new one while it imports."""
Host = Annotated[str, typer.Option(help="Address to listen on; development: loopback only.")]
Port = Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")]


def prepared(**overrides: object) -> Settings:
    settings = load_settings(**overrides)
    configure_logging(settings)
    return settings


@app.command()
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="API processes.")] = 1,
    reload: Annotated[bool, typer.Option(help="Restart when the code changes.")] = False,
    migrate: Annotated[
        bool | None,
        typer.Option(help="Migrate first; by default with the embedded PostgreSQL only."),
    ] = None,
    seed: Annotated[
        bool | None, typer.Option(help="Seed the catalogue first; by default in development.")
    ] = None,
) -> None:
    """Run the hub.

    Example: [bold]backend-hub serve --workers 2 --port 8080[/bold]
    """
    public = os.environ.get("HUB_PUBLIC_URL")
    settings = prepared(**({} if public else {"public_url": f"http://{host}:{port}"}))
    if settings.development and host not in LOOPBACK:
        raise ConfigurationError(
            f"Development mode has known passwords and does not listen on {host}: "
            "set HUB_ENVIRONMENT=production"
        )
    require_free(host, port)
    signal.signal(signal.SIGTERM, _leave)
    with migrated_database(settings, migrate=migrate) as url:
        if settings.development if seed is None else seed:
            run_seed(settings, url)
        os.environ |= {"HUB_DATABASE_URL": url, "HUB_PUBLIC_URL": settings.public_url}
        announce(settings, url)
        with shared_metrics(workers):
            run_server(settings, host, port, workers, reload)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM as an exception, so that the embedded PostgreSQL is stopped on the way out."""
    raise SystemExit(128 + number)


def require_free(host: str, port: int) -> None:
    """Raise ConfigurationError when the port is taken, before anything else is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"Cannot listen on {host}:{port} ({error.strerror}): choose another --port"
            ) from None


def run_server(settings: Settings, host: str, port: int, workers: int, reload: bool) -> None:
    # A worker imports again what was started, if it has a path: the command line, which it needs
    # not (docs/performance.md).
    vars(sys.modules["__main__"]).pop("__file__", None)
    uvicorn.run(
        "backend_hub.worker:serve",
        factory=True,
        http="backend_hub.http.protocol:HubProtocol",
        host=host,
        port=port,
        workers=workers,
        reload=reload,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_graceful_shutdown=settings.shutdown_grace,
        timeout_worker_healthcheck=WORKER_START_WITHIN,
    )


def announce(settings: Settings, url: str) -> None:
    """Where to look, and in development how to sign in."""
    base = settings.issuer
    where = f"embedded, in {settings.data_dir.absolute()}" if settings.embedded else url
    lines = [
        f"{settings.name}",
        f"  Site        {base}/",
        f"  Swagger UI  {base}/docs",
        f"  ReDoc       {base}/redoc",
        f"  Database    {without_password(where)}",
    ]
    if settings.development:
        from backend_hub.imports.demo import DEMO_PASSWORD  # noqa: PLC0415

        lines.append(f"  Sign in     demo or demo-admin, password {DEMO_PASSWORD}")
    out.print("\n".join(lines), soft_wrap=True, highlight=False)


@app.command()
def migrate() -> None:
    """Bring the database to the schema of this version.

    Safe to run from several places at once. Example: [bold]backend-hub migrate[/bold]
    """
    settings = prepared()
    with running_database(settings) as url:
        migrations.upgrade(url)
    out.print(f"The database is at {migrations.head()}.")


@app.command()
def seed() -> None:
    """Bring in the shipped catalogue: topics, links, code samples and projects.

    What members edited stays as it is. Example: [bold]backend-hub seed[/bold]
    """
    settings = prepared()
    with migrated_database(settings) as url:
        run_seed(settings, url)


def run_seed(settings: Settings, url: str) -> None:
    from backend_hub.imports.catalogue import seed_catalogue  # noqa: PLC0415
    from backend_hub.imports.demo import seed_demo  # noqa: PLC0415

    with Progress(console=err, transient=True) as bars:
        bar = bars.add_task("Catalogue", total=None)

        async def work(session: Any) -> Any:
            report = await seed_catalogue(
                session, progress=lambda done, total: bars.update(bar, completed=done, total=total)
            )
            if settings.development:
                await seed_demo(session)
            return report

        report = with_session(settings, url, work)
    out.print(
        f"Catalogue: {report.created} new, {report.updated} updated, "
        f"{report.unchanged} unchanged, {report.kept} kept as members left them."
    )


@app.command()
def create_admin(
    username: Annotated[str, typer.Option(prompt=True, help="Letters, digits, - and _.")],
    email: Annotated[str, typer.Option(prompt=True, help="Where to reach the admin.")],
    password: Annotated[
        str,
        typer.Option(
            prompt=True,
            confirmation_prompt=True,
            hide_input=True,
            envvar="HUB_ADMIN_PASSWORD",
            help="At least 15 characters.",
        ),
    ],
) -> None:
    """Make an account with the role admin, or give that role to one that exists.

    Example: [bold]backend-hub create-admin --username ada --email ada@example.org[/bold]
    """
    from backend_hub.auth.schemas import NewAccount  # noqa: PLC0415
    from backend_hub.auth.service import make_admin  # noqa: PLC0415

    settings = prepared()
    try:
        form = NewAccount(username=username, email=email, password=password)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{where} {first['msg']}".strip()) from None
    with migrated_database(settings) as url:
        with_session(settings, url, lambda session: make_admin(session, form))
    out.print(f"{username} is an admin.")


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="A file that does not exist yet.")]) -> None:
    """Write the whole database to a file, while the hub goes on working.

    Keep HUB_SECRET_KEY beside it, but not in the same place: without it the signing keys in the
    backup are useless. Example: [bold]backend-hub backup hub.dump[/bold]
    """
    settings = prepared()
    with migrated_database(settings, migrate=False) as url:
        write_backup(url, with_session(settings, url, major_version), file)
    out.print(f"Wrote {file}, {file.stat().st_size / 1e6:.1f} MB.", soft_wrap=True)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `backend-hub backup` wrote.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace what is in the database.")
    ] = False,
) -> None:
    """Bring a backup into an empty database, then up to the schema of this version.

    Stop the hub before. Trust the file: what it holds runs in the database.
    Example: [bold]backend-hub restore hub.dump[/bold]
    """
    settings = prepared()
    with running_database(settings) as url:
        if with_session(settings, url, count_tables) and not force:
            raise ConfigurationError("The database is not empty: --force replaces what is there")
        major = with_session(settings, url, major_version)
        read_backup(url, major, file, replace=force)
        migrations.upgrade(url)
    out.print(f"Restored {file}; the database is at {migrations.head()}.", soft_wrap=True)


@app.command()
def export_openapi(
    output: Annotated[Path | None, typer.Option(help="A file; by default standard output.")] = None,
) -> None:
    """Write the OpenAPI document; needs no database.

    Example: [bold]backend-hub export-openapi --output openapi.json[/bold]
    """
    from backend_hub.app import create_app  # noqa: PLC0415

    document = json.dumps(create_app(prepared()).openapi(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        sys.stdout.write(document)
    else:
        output.write_text(document, encoding="utf-8")
        out.print(f"Wrote {output}.")


@app.command()
def settings() -> None:
    """Print every setting and its meaning in Markdown (docs/settings.md).

    Example: [bold]backend-hub settings[/bold]
    """
    sys.stdout.write(settings_page())


@app.command()
def doctor(
    url: Annotated[str, typer.Option(help="Of a process that runs: its signals too.")] = "",
) -> None:
    """Examine settings, database, migrations and keys: what is wrong, and how to mend it.

    Example: [bold]backend-hub doctor --url http://127.0.0.1:8000[/bold]
    """
    from backend_hub.doctor import examine  # noqa: PLC0415

    settings = prepared()
    with running_database(settings) as database_url:
        findings = asyncio.run(examine(settings, database_url, url))
    table = Table("", "Part", "Finding", "How to mend it", box=None)
    for finding in findings:
        table.add_row("[green]ok[/green]" if finding.fine else "[red]wrong[/red]", *finding[1:])
    out.print(table)
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)


app.add_typer(import_commands(prepared, migrated_database, with_session), name="import")
app.add_typer(key_commands(prepared, migrated_database, with_session), name="keys")


def main() -> None:
    """The console script: an expected failure is one line and a non-zero exit."""
    try:
        app()
    except (ConfigurationError, HubError) as error:
        fail(str(error))
    except (OSError, SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()
        fail(f"The database cannot be used: {reason[0] if reason else type(error).__name__}")


def fail(message: str) -> NoReturn:
    err.print(f"[red]backend-hub:[/red] {escape(message)}", soft_wrap=True, highlight=False)
    sys.exit(1)
