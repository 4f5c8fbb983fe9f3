"""`make check`: the migrations make exactly the tables of the models, and can be undone."""

import tempfile
from pathlib import Path

from alembic import command
from backend_hub.embedded import embedded_postgres
from backend_hub.migrate import alembic_config, downgrade, upgrade


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="hub-check-") as folder,
        embedded_postgres(Path(folder), durable=False) as server,
    ):
        upgrade(server.url)
        command.check(alembic_config(server.url))
        downgrade(server.url, "base")
        upgrade(server.url)


if __name__ == "__main__":
    main()
