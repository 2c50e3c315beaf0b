"""A completions endpoint on this machine that fails as it is told to, and keeps count."""

import asyncio
import hashlib
import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Behaviour = Literal["answer", "reset", "hang", "cut", "unfinished"]


@dataclass(frozen=True)
class Fault:
    """What happens to one request: an HTTP status, or something worse."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    behaviour: Behaviour = "answer"
    message: str = "injected"


# From a prompt's token ids and the number of times that it came before, to what happens to it.
Plan = Callable[[tuple[int, ...], int], Fault | None]


def well(ids: tuple[int, ...], n: int) -> None:
    """Nothing goes wrong."""


def storm(seed: int, first_only: bool) -> Plan:
    """30% 429 with Retry-After, 10% 500, 5% reset, 1% hang: the same prompts in every run."""

    def plan(ids: tuple[int, ...], n: int) -> Fault | None:
        if n > 0 and first_only:
            return None
        draw = random.Random(f"{seed} {ids} {n}")
        x = draw.random()
        if x < 0.30:
            return Fault(429, {"Retry-After": str(draw.randint(0, 1))})
        if x < 0.40:
            return Fault(500)
        if x < 0.45:
            return Fault(behaviour="reset")
        return Fault(behaviour="hang") if x < 0.46 else None

    return plan


def text_for(ids: tuple[int, ...]) -> str:
    """The output that belongs to a prompt and no other."""
    return hashlib.sha256(str(ids).encode()).hexdigest()


class FaultyEndpoint:
    """Listens while its ``with`` block lasts, in a thread of its own."""

    def __init__(
        self,
        plan: Plan = well,
        models: tuple[str, ...] = ("bonito",),
        window: int | None = 4096,
        delay: float = 0.0,
        key: str | None = None,
    ) -> None:
        self.plan = plan
        self.models = models
        self.window = window
        self.delay = delay
        self.key = key
        self.seen: Counter[tuple[int, ...]] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.times: dict[tuple[int, ...], list[float]] = {}
        self.at_once = 0
        self.most_at_once = 0
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "FaultyEndpoint":
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self.die()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def die(self) -> None:
        """Stops listening and drops every connection; the port refuses from then on."""
        self._do(self._stop())

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self.connections -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; tells whether the connection stays."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
            error = f"not a key: {headers.get('authorization')}"
            return _reply(writer, 401, {"error": {"message": error}})
        if lines[0].startswith("GET /v1/models"):
            return _reply(writer, 200, {"object": "list", "data": self._cards()})
        if not lines[0].startswith("POST /v1/completions"):
            return _reply(writer, 404, {"detail": "Not Found"})
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._complete(writer, json.loads(body))
        finally:
            self.at_once -= 1

    def _cards(self) -> list[dict[str, Any]]:
        return [
            {"id": name, "owned_by": "vllm", "max_model_len": self.window} for name in self.models
        ]

    async def _complete(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> bool:
        ids = tuple(body["prompt"])
        fault = self.plan(ids, self.seen[ids]) or Fault()
        self.seen[ids] += 1
        self.times.setdefault(ids, []).append(self._loop.time())
        self.bodies.append(body)
        if self.delay:
            await asyncio.sleep(self.delay)
        if fault.behaviour == "hang":
            await asyncio.sleep(3600)
        if fault.behaviour == "reset":
            # With a linger of 0 s the system closes with RST instead of FIN.
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            writer.transport.abort()
            return False
        if fault.status != 200:
            error = {"error": {"message": fault.message, "code": fault.status}}
            return _reply(writer, fault.status, error, fault.headers)
        if fault.behaviour == "cut":
            return _reply(writer, 200, _completion(ids), cut=40)
        finish = None if fault.behaviour == "unfinished" else "stop"
        return _reply(writer, 200, _completion(ids, finish))


def _completion(ids: tuple[int, ...], finish: str | None = "stop") -> dict[str, Any]:
    return {
        "object": "text_completion",
        "choices": [
            {
                "index": 0,
                "text": text_for(ids),
                "finish_reason": finish,
                "logprobs": {"token_logprobs": [-0.5, -1.0]},
            }
        ],
        "usage": {"prompt_tokens": len(ids), "completion_tokens": 2},
    }


def _reply(
    writer: asyncio.StreamWriter,
    status: int,
    body: dict[str, Any],
    headers: dict[str, str] | None = None,
    cut: int = 0,
) -> bool:
    """Writes a response, without its last `cut` characters if any; the connection stays."""
    data = json.dumps(body).encode()
    data = data[: len(data) - cut]
    fields = {
        "Content-Type": "application/json",
        "Content-Length": str(len(data)),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"HTTP/1.1 {status} .\r\n{head}\r\n".encode() + data)
    return True
