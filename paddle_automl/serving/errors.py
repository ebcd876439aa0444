"""Why a request is refused: an HTTP status and one sentence."""

from __future__ import annotations

from paddle_automl.core.errors import AutoMLError


class RequestError(AutoMLError):
    """A request that is not answered: the HTTP status, one sentence for the client, further headers."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def busy(reason: str) -> RequestError:
    """Return the refusal of a server that has no room now; the client may try again a second later."""
    return RequestError(503, reason, retry_after="1")
