"""The HTTP server of a simulator."""

import asyncio
import socket
import threading
from concurrent.futures import Future

import uvicorn
from starlette.requests import Request

from .app import application
from .connections import TRANSPORT, ConnectionProtocol
from .state import SimulatorState

__all__ = ["ServerThread"]


class ServerThread:
    """uvicorn in a thread of its own."""

    def __init__(self, state: SimulatorState, listener: socket.socket) -> None:
        self._state = state
        self._address: tuple[str, int] = listener.getsockname()
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                application(state, self._reset),
                http=ConnectionProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                date_header=False,
                server_header=False,
            )
        )
        self._resets = asyncio.Lock()
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener)), name="simulated-gateway", daemon=True
        )
        self._thread.start()

    async def _serve(self, listener: socket.socket) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        await self._uvicorn.serve([listener])

    def stop(self) -> None:
        """Stop serving. Requests in flight get no response."""
        # Without waiting for responses that a fault delays.
        self._uvicorn.should_exit = self._uvicorn.force_exit = True
        self._thread.join()

    def reset(self) -> None:
        """Drop all connections, and return to the initial state."""
        asyncio.run_coroutine_threadsafe(self._reset(), self._loop.result()).result()

    async def _reset(self, request: Request | None = None) -> None:
        """Reset; a request that asks for it keeps its connection."""
        kept = None if request is None else request.scope[TRANSPORT]
        async with self._resets:  # another reset would drop the connection that this one opens
            # Connections are accepted in order: when this one gets its response, all older ones have been accepted.
            reader, writer = await asyncio.open_connection(*self._address)
            writer.write(b"GET /nothing HTTP/1.0\r\n\r\n")
            await reader.read()
            writer.close()
            server = self._uvicorn.server_state
            for connection in server.connections:
                if connection.transport is not kept:
                    connection.transport.abort()
            for task in server.tasks:
                if task is not asyncio.current_task():
                    task.cancel()
            self._state.reset()
            # asyncio closes the sockets in the loop's next cycle, and only then do clients see that they need new ones.
            await asyncio.sleep(0)
