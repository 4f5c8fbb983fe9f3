"""`backend-hub import`: content from elsewhere."""

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from backend_hub.http.schemas import DEFAULT_LICENSE
from backend_hub.settings import Settings

if TYPE_CHECKING:
    from backend_hub.imports.awesome_import import ImportReport

out = Console()
err = Console(stderr=True)


def import_commands(
    prepared: Callable[[], Settings],
    migrated_database: Callable[[Settings], AbstractContextManager[str]],
    with_session: Callable[[Settings, str, Callable[[Any], Coroutine[Any, Any, Any]]], Any],
) -> typer.Typer:
    """The commands, given how `cli.py` opens its database."""
    importer = typer.Typer(help="Bring in content from elsewhere.", no_args_is_help=True)

    @importer.command("awesome")
    def import_awesome_list(
        file: Annotated[
            Path,
            typer.Argument(exists=True, dir_okay=False, readable=True, help="A Markdown list."),
        ],
        name: Annotated[
            str | None, typer.Option(help="The list's name; by default its first heading.")
        ] = None,
        under: Annotated[
            str | None, typer.Option(help="Slug of a topic to put the list's headings under.")
        ] = None,
        language: Annotated[str, typer.Option(help="BCP 47 language of the list.")] = "en",
        license_id: Annotated[
            str, typer.Option("--license", help="SPDX identifier of the list's licence.")
        ] = DEFAULT_LICENSE,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Only say what would happen.")
        ] = False,
    ) -> None:
        """Import an awesome-style Markdown list: headings become topics, items become links.

        A second run adds nothing.
        Example: [bold]backend-hub import awesome list.md --dry-run[/bold]
        """
        from backend_hub.imports.awesome_import import import_awesome, read_list  # noqa: PLC0415

        settings = prepared()
        text = read_list(file)
        with migrated_database(settings) as url, Progress(console=err, transient=True) as bars:
            bar = bars.add_task(file.name, total=None)

            async def work(session: Any) -> "ImportReport":
                return await import_awesome(
                    session,
                    text,
                    name=name,
                    file_name=file.name,
                    under=under,
                    language=language,
                    license_id=license_id,
                    dry_run=dry_run,
                    progress=lambda done, total: bars.update(bar, completed=done, total=total),
                )

            report = with_session(settings, url, work)
        show_import(report)

    return importer


def show_import(report: "ImportReport") -> None:
    """What an import did, or would do: a line a topic, and a line for what was left out."""
    table = Table(box=None)
    for heading in ("Topic", "", "New", "There already"):
        table.add_column(heading, justify="left" if heading in {"Topic", ""} else "right")
    for topic in report.topics:
        made = "new" if topic.created else ""
        table.add_row("  " * topic.depth + topic.name, made, str(topic.new), str(topic.existing))
    out.print(table, markup=False)
    for skipped in report.skipped:
        out.print(
            f"line {skipped.line}: {skipped.reason}: {skipped.text}",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    verb = "would be added" if report.dry_run else "added"
    out.print(
        f"{report.title}: {report.new} links {verb}, {len(report.existing)} were there already, "
        f"{len(report.skipped)} skipped.",
        soft_wrap=True,
        highlight=False,
    )
