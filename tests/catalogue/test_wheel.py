"""What is installed from the wheel has the whole catalogue."""

import subprocess
import sys
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_the_wheel_has_every_file_of_the_catalogue(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=CHECKOUT, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    source = CHECKOUT / "src"
    files = {
        str(path.relative_to(source))
        for path in (source / "backend_hub" / "catalogue").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(files) > 100
    assert any(name.endswith("/.dockerignore") for name in files)
    assert files - shipped == set()
