"""`backend-hub keys`: the keys that sign tokens."""

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from backend_hub.auth.keys import list_keys, retire_key, rotate_key
from backend_hub.settings import Settings

Work = Callable[[Any, Settings], Coroutine[Any, Any, Any]]
out = Console()


def key_commands(
    prepared: Callable[[], Settings],
    migrated_database: Callable[[Settings], AbstractContextManager[str]],
    with_session: Callable[[Settings, str, Callable[[Any], Any]], Any],
) -> typer.Typer:
    """The commands, given how `cli.py` opens its database."""

    def run(work: Work) -> Any:
        settings = prepared()
        with migrated_database(settings) as url:
            return with_session(settings, url, lambda session: work(session, settings))

    keys = typer.Typer(help="Rotate, list and retire the signing keys.", no_args_is_help=True)

    @keys.command()
    def rotate() -> None:
        """Sign with a new key from now on; nobody is signed out.

        Running workers take it up within a minute. Example: [bold]backend-hub keys rotate[/bold]
        """
        key = run(lambda session, settings: rotate_key(session, secret_of(settings)))
        out.print(f"{key.kid} signs from now on.", soft_wrap=True, highlight=False)

    @keys.command("list")
    def show() -> None:
        """Show every key, the newest first: it signs, and all that are not retired verify.

        Example: [bold]backend-hub keys list[/bold]
        """
        table = Table("Key", "Made", "State", box=None)
        signs = True
        for key in run(lambda session, _settings: list_keys(session)):
            state = "retired" if key.retired_at else "signs" if signs else "verifies"
            signs = signs and state != "signs"
            table.add_row(key.kid, f"{key.created_at:%Y-%m-%d %H:%M}", state)
        out.print(table)

    @keys.command()
    def retire(
        kid: Annotated[str, typer.Argument(help="The key, as `keys list` shows it.")],
    ) -> None:
        """End a key for good: tokens that it signed stop working within a minute.

        Access tokens live for minutes, so an hour after `rotate` nobody notices. Example:
        [bold]backend-hub keys retire AZq3T...[/bold]
        """
        run(lambda session, _settings: retire_key(session, kid))
        out.print(f"{kid} is retired.", soft_wrap=True, highlight=False)

    return keys


def secret_of(settings: Settings) -> str:
    return settings.secret_key.get_secret_value()
