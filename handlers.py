"""How Django is run under ASGI: each request with as few threads as it needs.

Under Django's own handler every middleware that has no async form of its own costs two changes of thread. Pages are
sync from end to end, so they take one thread, once. The poll is async so that it can be held for 25 s without one;
what it passes through neither reads a session nor waits, so it needs no thread there either.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from io import BytesIO
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, markcoroutinefunction, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.middleware.locale import LocaleMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import set_script_prefix

from middleware import security_headers

Scope = dict[str, Any]
THREADS = 4  # that polls read in


class PageHandler(ASGIHandler):
    """Runs the sync middlewares and the view in one thread; the answer may still be streamed."""

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


class PollHandler(ASGIHandler):
    """Runs the async view with the middlewares that a JSON route without a session needs, on the loop.

    What the view reads it reads in one of a few threads that live on and keep their connections: Django's own way is
    a new thread, and so a new connection, for each request.
    """

    def __init__(self) -> None:
        super().__init__()
        self._threads = itertools.cycle([ThreadSensitiveContext() for _ in range(THREADS)])

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        SyncToAsync.thread_sensitive_context.set(next(self._threads))
        set_script_prefix("/")
        answering = asyncio.ensure_future(self._answer(scope, send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not answering.done():
                answering.cancel()  # who asked has gone
        if not answering.cancelled() and answering.done():
            answering.result()

    async def _answer(self, scope: Scope, send: Any) -> None:
        request, refusal = self.create_request(scope, BytesIO())  # a GET has no body
        answer: Any = refusal if request is None else await self.run_get_response(request)
        await self.send_response(answer, send)

    def load_middleware(self, is_async: bool = True) -> None:
        self._view_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        chain: Any = convert_exception_to_response(self._get_response_async)  # type: ignore[attr-defined]
        for middleware in (CommonMiddleware, LocaleMiddleware, SecurityMiddleware):
            chain = convert_exception_to_response(_on_the_loop(middleware(chain)))
        self._middleware_chain = convert_exception_to_response(security_headers(chain))


def _on_the_loop(middleware: Any) -> Callable[[HttpRequest], Any]:
    """Call a middleware that only computes where it is; Django would send it to a thread, before and after."""

    async def called(request: HttpRequest) -> HttpResponse:
        early = middleware.process_request(request)
        return middleware.process_response(request, early or await middleware.get_response(request))  # type: ignore[no-any-return]

    return markcoroutinefunction(called)


async def _left(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class HttpApplication:
    """Django, by the handler that a path needs."""

    def __init__(self) -> None:
        self._pages, self._poll = PageHandler(), PollHandler()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        is_poll = scope["path"].rstrip("/") == "/payments/status"
        await (self._poll if is_poll else self._pages)(scope, receive, send)
