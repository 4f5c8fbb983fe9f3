"""The other commands of `backend-hub`, as a person runs them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend_hub.cli import app, fail
from backend_hub.settings import settings_page
from tests.program.conftest import Program

LIST = """# Awesome Things

> A list of things.

## Databases

- [PostgreSQL wiki](https://wiki.postgresql.org/) - Notes by its users.
- [No such scheme](ftp://example.org/file)

### Tools

- [pgcli](https://www.pgcli.com/) - A shell that completes.
"""


def test_the_hub_is_set_up_and_filled_by_commands(program: Program) -> None:
    doctor = program.run("doctor")
    assert doctor.returncode == 1
    assert "backend-hub migrate" in doctor.stdout
    assert program.run("migrate").returncode == 0
    seeded = program.run("seed")
    assert seeded.returncode == 0, seeded.stderr
    assert " 0 new" not in seeded.stdout
    (program.folder / "list.md").write_text(LIST)
    tried = program.run("import", "awesome", "list.md", "--dry-run")
    assert "2 links would be added" in tried.stdout, tried.stderr
    done = program.run("import", "awesome", "list.md")
    assert "2 links added" in done.stdout
    assert "ftp" in done.stdout, "what was skipped is told"
    assert (
        "0 links added, 2 were there already" in program.run("import", "awesome", "list.md").stdout
    )
    admin = ("create-admin", "--username", "admin", "--email", "admin@example.org", "--password")
    weak = program.run(*admin, "short")
    assert (weak.returncode, len(weak.stderr.strip().splitlines())) == (1, 1)
    assert program.run(*admin, "eleven quiet rivers").returncode == 0
    healthy = program.run("doctor")
    assert healthy.returncode == 0, healthy.stdout
    assert program.postgres() is None, "each command stops the database that it started"


def test_a_broken_list_and_an_unknown_topic_are_one_line(program: Program) -> None:
    (program.folder / "broken.md").write_bytes(b"# A list\n- \xff\xfe\n")
    (program.folder / "list.md").write_text(LIST)
    for arguments in (["broken.md"], ["list.md", "--under", "no-such-topic"]):
        done = program.run("import", "awesome", *arguments)
        assert done.returncode == 1
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_the_openapi_document_needs_no_database(program: Program) -> None:
    program.environment = {"HUB_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    done = program.run("export-openapi")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["openapi"].startswith("3.")


def test_a_database_out_of_reach_is_one_line(program: Program) -> None:
    program.environment = {"HUB_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    done = program.run("migrate")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        *("serve", "migrate", "seed", "import awesome", "create-admin", "backup", "restore"),
        *("export-openapi", "doctor"),
    ],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert "Example:" in done.stdout


def test_the_page_of_settings_is_current() -> None:
    page = Path(__file__).parents[2] / "docs/settings.md"
    assert page.read_text() == settings_page(), "run `make docs`"


def test_keys_are_rotated_listed_and_retired(program: Program) -> None:
    """Promise 38, on the command line."""

    def states() -> dict[str, str]:
        lines = program.run("keys", "list").stdout.splitlines()
        return {
            line.split()[0]: line.split()[-1]
            for line in lines
            if line.rstrip().endswith(("signs", "verifies", "retired"))
        }

    first = program.run("keys", "rotate")
    assert first.returncode == 0, first.stderr
    old = first.stdout.split()[0]
    new = program.run("keys", "rotate").stdout.split()[0]
    assert states() == {new: "signs", old: "verifies"}
    refused = program.run("keys", "retire", new)
    assert (refused.returncode, "rotate first" in refused.stderr) == (1, True)
    assert program.run("keys", "retire", old).returncode == 0
    assert states() == {new: "signs", old: "retired"}


def test_a_failure_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fail("run `pip install 'backend-hub[embedded]'`")
    assert "'backend-hub[embedded]'" in capsys.readouterr().err
