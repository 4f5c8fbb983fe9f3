"""An export as an answer."""

from typing import IO, Any

from starlette.responses import StreamingResponse

from backend_hub.account.export import chunks_of

ZIP: dict[str, Any] = {"schema": {"type": "string", "format": "binary", "maxLength": 2**40}}


class ZipResponse(StreamingResponse):
    """A file that was made for this answer, sent piece by piece and never stored."""

    media_type = "application/zip"

    def __init__(self, file: IO[bytes], name: str, status_code: int = 200) -> None:
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        super().__init__(
            chunks_of(file), status_code, headers=disposition | {"Cache-Control": "no-store"}
        )
