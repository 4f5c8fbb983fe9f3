"""Names of the files of a code sample."""

import pytest

from tests.hub import Hub, code_sample


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (".dockerignore", 201),
        (".", 422),
        ("..", 422),
        ("...", 422),
        ("../main.py", 422),
        (".-x", 422),
    ],
)
async def test_a_file_may_be_hidden_but_not_a_folder(hub: Hub, name: str, status: int) -> None:
    ann = await hub.person("ann")
    files = [{"name": name, "content": "*.pyc\n"}]
    response = await ann.post("/resources", code_sample(files=files))
    assert response.status_code == status, response.text
