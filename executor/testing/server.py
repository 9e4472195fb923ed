"""An Anthropic-compatible server on 127.0.0.1 that plays a script."""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Event, Lock, Thread

from executor.system.records import TYPE_CHECKING
from executor.testing import wire
from executor.testing.protocol import refusal
from executor.testing.replies import refused
from executor.testing.request import Request, read
from executor.testing.script import Script, lost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Self

    from executor.testing.replies import Reply
    from executor.testing.script import Exchange

KEY = "d0Zu7my4Qk9Wv2Hx6Rt3Pj8B"  # strong for executor.mask, so parts of it are seen too; no part is a word
MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
MODELS = "/v1/models"
IDLE_S = 60.0
POLL_S = 0.02
MOST_CONNECTIONS = 64
MOST_BYTES = 32 * 1024**2


class ScriptedServer:
    """`with ScriptedServer([bash("ls"), done()]) as server:` answers each request with the next reply.

    A callable script gets each `Request`, one at a time, and returns a reply; None is the end.
    """

    def __init__(self, script: Sequence[Reply] | Callable[[Request], Reply | None]) -> None:
        self._ledger = Script(script)
        self._listener: _Listener | None = None
        self._thread: Thread | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._listener = _Listener(self._ledger)
        self.url = f"http://127.0.0.1:{self._listener.server_port}"
        self._thread = Thread(target=self._listener.serve_forever, args=(POLL_S,), name="scripted-server")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the port, the connections and the threads; what was asked stays to be read."""
        if self._listener and self._thread:
            self._listener.end()
            self._thread.join()
        self._listener = self._thread = None

    @property
    def environ(self) -> dict[str, str]:
        """The variables that lead the SDK, Claude Code and do-tasks here."""
        return {"ANTHROPIC_BASE_URL": self.url, "ANTHROPIC_API_KEY": KEY}

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests to /v1/messages, in order, refused ones too."""
        return tuple(exchange.request for exchange in self._ledger.exchanges)

    def check(self, secrets: Iterable[str] = (), *, open_calls: Iterable[str] = ("done",)) -> None:
        """Raise AssertionError with all that is wrong.

        That is: a request that was refused or came after the end of the script, a reply that was not requested, a call
        that was never answered unless its tool is one of `open_calls`, one of these secrets or KEY in a body.
        """
        findings = self._ledger.findings(secrets, KEY, open_calls)
        if findings:
            raise AssertionError("\n- ".join(["the scripted server saw:", *findings]))


class _Listener(ThreadingHTTPServer):
    """Keeps its connections, so that none outlives it."""

    daemon_threads = False
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, ledger: Script) -> None:
        self.ledger = ledger
        self.closing = Event()
        self._open: set[socket.socket] = set()
        self._lock = Lock()
        super().__init__(("127.0.0.1", 0), _Connection)

    def server_bind(self) -> None:
        """Bind without asking the name service who 127.0.0.1 is."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def verify_request(self, *_: Any) -> bool:
        with self._lock:
            return len(self._open) < MOST_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:
        """Record an error of the server itself; a client that went away is none."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.ledger.blot(f"the scripted server itself failed: {type(error).__name__}: {error}")

    def end(self) -> None:
        """Close the port and every connection, then wait for their threads."""
        self.closing.set()
        self.shutdown()
        with self._lock:
            for connection in self._open:
                _hang_up(connection)
        self.server_close()


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class _Connection(BaseHTTPRequestHandler):
    """One caller; kept open between requests, as the real service does."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    disable_nagle_algorithm = True
    server: _Listener

    def do_POST(self) -> None:
        raw = self._body()
        path = self.path.partition("?")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        if raw is None:
            self._send_error(refused(413), 0)
        elif path == MESSAGES:
            self._play(self.server.ledger.answer(self.path, headers, raw))
        elif path == COUNT_TOKENS:
            self._count(Request(0, self.path, headers, read(raw), raw.decode("utf-8", "replace")))
        else:
            self.server.ledger.blot(f"POST {self.path}: nothing is there")
            self._send_error(lost(path), 0)

    def do_GET(self) -> None:
        if self.path.partition("?")[0] == MODELS:
            self._send_json(200, wire.models(), {}, 0)
        else:
            self._send_error(refused(404), 0)

    def do_HEAD(self) -> None:
        self._start(404, {"content-length": "0"}, 0)

    def log_message(self, *_: object) -> None:
        return

    def _body(self) -> bytes | None:
        """Return the body of a request; None when it is too long, or has no length."""
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or len(length) > 9 or int(length) > MOST_BYTES:
            self.close_connection = True
            return None
        raw = self.rfile.read(int(length))
        if len(raw) < int(length):
            raise ConnectionResetError("the caller went away in the middle of its request")
        return raw

    def _play(self, exchange: Exchange) -> None:
        if exchange.reply.status != 200:
            self._send_error(exchange.reply, exchange.request.number)
        elif exchange.request.streams:
            self._stream(exchange)
        else:
            self._send_turn(exchange)

    def _stream(self, exchange: Exchange) -> None:
        headers = {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"}
        self._start(200, headers, exchange.request.number)
        for part in wire.parts(exchange.reply, exchange.request):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        if exchange.reply.silent_s is None:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self._be_silent(exchange.reply.silent_s)

    def _send_turn(self, exchange: Exchange) -> None:
        whole = exchange.reply.replace(silent_s=None)
        length = sum(map(len, wire.parts(whole, exchange.request)))
        self._start(200, {"content-type": "application/json", "content-length": str(length)}, exchange.request.number)
        for part in wire.parts(exchange.reply, exchange.request):
            self.wfile.write(part)
        if exchange.reply.silent_s is not None:
            self._be_silent(exchange.reply.silent_s)

    def _be_silent(self, seconds: float) -> None:
        self.server.closing.wait(seconds)
        self.close_connection = True

    def _count(self, request: Request) -> None:
        """A token is four characters here."""
        refused_with = refusal(request, needs=("model", "messages"))
        if refused_with is not None:
            self._send_error(refused_with, 0)
        else:
            self._send_json(200, wire.counted(len(request.raw) // 4 + 1), {}, 0)

    def _send_error(self, reply: Reply, number: int) -> None:
        self._send_json(reply.status, wire.error(reply, number), reply.headers, number)

    def _send_json(self, status: int, body: bytes, headers: Any, number: int) -> None:
        self._start(status, {"content-type": "application/json", "content-length": str(len(body)), **headers}, number)
        self.wfile.write(body)

    def _start(self, status: int, headers: dict[str, str], number: int) -> None:
        self.send_response(status)
        for name, value in {"request-id": wire.request_id(number), **headers}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
