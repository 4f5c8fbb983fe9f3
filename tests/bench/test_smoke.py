"""The bench runs; what it measures is never judged here."""

import os
import subprocess
import sys
from pathlib import Path

from backend_hub.settings import Settings

ROOT = Path(__file__).parents[2]


def bench(settings: Settings, folder: Path, rows: int, *options: str) -> str:
    """What it prints; its folder keeps its log.

    The database is named after its rows: tests with the same number must not run at once.
    """
    path = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench", "--rows", str(rows), *options),
            *("--database-url", settings.database_url),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_hub_and_the_limit_do_every_work_rightly(settings: Settings, tmp_path: Path) -> None:
    looked = bench(settings, tmp_path, 200, "--peers", "raw,hub", "--seconds", "0")
    assert "Every answer is right." in looked


def test_a_quick_look_prints_one_table(settings: Settings, tmp_path: Path) -> None:
    options = ("--peers", "raw", "--works", "W7", "--seconds", "0.5")
    printed = bench(settings, tmp_path, 220, *options)
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert rows[0] == "| server | W7 |"
    assert rows[2].startswith("| raw uvicorn + asyncpg | 1.00 (")
    assert len(rows) == 3
