"""The application: all routes of one model behind the guard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from paddle_automl.core.version import VERSION
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.serving import paddlex, page, plain, v2
from paddle_automl.serving.direct import DirectRoute
from paddle_automl.serving.errors import RequestError
from paddle_automl.serving.guard import FAILED, Guard, refusal
from paddle_automl.serving.metrics import CONTENT_TYPE, Metrics
from paddle_automl.serving.model import ServedModel
from paddle_automl.serving.options import Address, Limits

log = logging.getLogger(__name__)


class Application:
    """One model with its routes and metrics: an ASGI application in `asgi`.

    The model warms up after the start, while the server answers already that it lives but is not ready; `failed`
    is called with the error if that does not succeed.
    """

    def __init__(
        self,
        predictor: Predictor,
        name: str,
        *,
        address: Address | None = None,
        limits: Limits | None = None,
        failed: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self.address, self.limits = address or Address(), limits or Limits()
        self.metrics = Metrics()
        self.model = ServedModel(predictor, name, self.limits, self.metrics)
        self._failed = failed
        self.api = self._routes()
        self.asgi = Guard(self.api, self.address, self.limits, self.metrics)
        self.direct = DirectRoute(self.model, self.asgi)

    def _routes(self) -> FastAPI:
        # The documentation pages of FastAPI load scripts from the network.
        api = FastAPI(
            title="paddle_automl", version=VERSION, docs_url=None, redoc_url=None, lifespan=self._lifespan
        )
        for module in (v2, plain, paddlex, page):
            api.include_router(module.router(self.model))

        @api.get("/metrics", tags=["metrics"])
        async def metrics() -> Response:
            return Response(self.metrics.text(), media_type=CONTENT_TYPE)

        @api.exception_handler(RequestError)
        async def refused(request: Request, error: RequestError) -> Response:
            status, body, headers = refusal(error, request.method, request.url.path)
            return Response(body, status, headers)

        @api.exception_handler(HTTPException)
        async def not_found(request: Request, error: HTTPException) -> Response:
            reasons = {404: "there is nothing at this address", 405: "this address does not take this method"}
            reason = reasons.get(error.status_code, str(error.detail))
            return await refused(request, RequestError(error.status_code, reason))

        @api.exception_handler(RequestValidationError)
        async def invalid(request: Request, error: RequestValidationError) -> Response:
            reason = "; ".join(str(item.get("msg")) for item in error.errors())
            return await refused(request, RequestError(400, reason[:300]))

        @api.exception_handler(Exception)
        async def failed(request: Request, error: Exception) -> Response:
            # Starlette would answer with a text. It raises the error again, and the guard logs it.
            del error
            return await refused(request, RequestError(500, FAILED))

        return api

    @asynccontextmanager
    async def _lifespan(self, api: FastAPI) -> AsyncIterator[None]:
        del api
        warming = asyncio.create_task(self._warm_up())
        yield
        warming.cancel()
        await asyncio.wait([warming])
        await self.model.close()

    async def _warm_up(self) -> None:
        try:
            await self.model.warm_up()
        except Exception as error:  # noqa: BLE001  told to who runs the server
            self._failed(error)


def application(predictor: Predictor, name: str, **options: Any) -> Any:
    """Return the ASGI application of a predictor; see `Application`."""
    return Application(predictor, name, **options).asgi
