"""Any OpenAI-compatible completions endpoint, or several with one model, as the generator.

Prompts go out as token ids, one small request each, so that the server sees exactly the tokens
that the engine in process would see, and each answer can be kept, or asked for again, by itself.
Asking twice does no harm, so whatever fails in passing is simply sent again.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import queue
import random
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from resources.admission import Admission
from resources.generator import (
    DEFAULT_WINDOW,
    Generator,
    GeneratorError,
    Log,
    Outcome,
    Request,
    Sampling,
)
from resources.model import Model, resolve
from resources.secrets import without_login

if TYPE_CHECKING:
    import aiohttp

KEY_VARIABLE = "BONITO_SERVER_API_KEY"
URLS_VARIABLE = "BONITO_SERVER_URL"

# How long the first answer of any URL may take, and of one while others are asked as well.
_FIRST_CONTACT_SECONDS = 30.0
_LISTING_SECONDS = 10.0
_CONNECT_SECONDS = 10.0
# Below the 5 s after which vLLM closes an idle connection: no request is to meet that moment.
_KEEP_ALIVE_SECONDS = 3.0
# Requests taken from the caller at a time. Up to two such batches wait beside those in flight, so
# that the server has work while the caller is busy with an outcome.
_BATCH = 32
# So often may one request fail while others are answered before it is set aside; and so often in a
# row may a URL fail before it rests.
_PATIENCE = 8
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_POLL_SECONDS = 0.25
_CLOSE_SECONDS = 10.0
# What the log takes: lines of trouble per session, characters of a server's message.
_MOST_LINES = 20
_MOST_CHARACTERS = 300

# A vLLM server fills in what a request leaves open from the model's generation_config.json; the
# engine in process does not. Other servers may refuse names that OpenAI's interface has not.
_VLLM_EXTRAS = {
    "logprobs": 0,  # of the drawn token only
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}

# What the server finds wrong with the one request that it was sent.
_REFUSALS = (400, 413, 422)
_GREEDY = Sampling(temperature=0.0, top_p=1.0, max_tokens=1)


class VllmServer(Generator):
    """A server that somebody else runs, reached under one URL or several.

    ``model`` is the checkpoint that it is said to serve: prompts are tokenised and outputs are
    addressed with it. The API key, if there is one, is read from ``BONITO_SERVER_API_KEY``, and a
    URL's name and password from ``BONITO_SERVER_URL``: a resource's fields are stored.
    """

    # Base URLs, with or without `/v1` at the end; all serve the same model.
    urls: list[str]
    # The model's name on the server; to be set only where a server lists several.
    served_model: str | None = None
    # Requests in flight at once, over all URLs.
    concurrency: int = 256
    # How long an answer may take.
    timeout_seconds: float = 120.0
    # How long nothing but failures may come back before the session ends.
    give_up_seconds: float = 300.0

    def resolve(self) -> Model:
        """Gives the checkpoint; raises ``ModelError`` when it is not there."""
        return resolve(self.model, "BONITO_MODEL", weights=False, may_be_adapter=True)

    @contextlib.contextmanager
    def open(self, log: Log) -> Iterator[ServerSession]:
        """Opens a session; the server is first spoken to with the first request.

        Raises ``GeneratorError`` for settings that cannot work, ``ModelError`` for the checkpoint.
        """
        session = ServerSession(self.resolve(), self, log)
        try:
            yield session
        finally:
            session.close()


class ServerSession:
    """Sends requests from a thread that lives only while outcomes are being taken.

    ``requests_sent`` counts the completions asked for, repetitions included.
    """

    def __init__(self, model: Model, settings: VllmServer, log: Log) -> None:
        if settings.concurrency < 1:
            raise GeneratorError("`concurrency` of the server backend must be at least 1")
        self._model = model
        self._settings = settings
        self._log = log
        self._addresses = _addresses(settings.urls, _api_key())
        self._served: _Served | None = None
        self._admission: Admission | None = None
        self._outcomes = 0
        self._lines = 0
        self.cards = len(self._addresses)
        self.requests_sent = 0

    def generate(self, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Gives one outcome per request as they finish; a bad prompt never reaches the server.

        Raises ``GeneratorError`` when no URL answers, or one answers that it never will.
        """
        waiting = iter(requests)
        first = next(waiting, None)
        if first is None:
            return
        client = _Client(self._addresses, self._settings, self._model)
        try:
            with client:
                admission = self._admit(client)
                yield from self._stream(client, admission, itertools.chain([first], waiting))
        finally:
            self.requests_sent += client.requests_sent

    def close(self) -> None:
        """Says what was sent; between calls of ``generate`` nothing is held open."""
        if self.requests_sent:
            self._log(
                f"server: {self.requests_sent:,} requests sent for {self._outcomes:,} outcomes"
            )

    def _admit(self, client: _Client) -> Admission:
        """Gives the judge of prompts; its window is the server's where that is the smaller."""
        if self._served is None or self._admission is None:
            self._served = client.contact()
            self._admission = Admission(
                self._model, min(self._served.window or DEFAULT_WINDOW, DEFAULT_WINDOW)
            )
            self._log(
                f"server: '{self._served.name}' at {', '.join(map(str, self._addresses))}, "
                f"{self._settings.concurrency} requests at once, "
                f"window of {self._admission.window:,} tokens"
            )
        client.served = self._served
        return self._admission

    def _stream(
        self, client: _Client, admission: Admission, waiting: Iterator[Request]
    ) -> Iterator[Outcome]:
        under_way = 0
        exhausted = False
        while True:
            while not exhausted and under_way <= self._settings.concurrency + _BATCH:
                batch = list(itertools.islice(waiting, _BATCH))
                if not batch:
                    exhausted = True
                    break
                jobs, refused = _judge(admission, batch)
                client.submit(jobs)
                under_way += len(jobs)
                yield from refused
            if not under_way:
                return
            item = client.next_item()
            if isinstance(item, str):
                self._tell(item)
                continue
            under_way -= 1
            self._outcomes += 1
            yield item

    def _tell(self, line: str) -> None:
        """Passes on the first lines about trouble; ten thousand more would say the same."""
        self._lines += 1
        if self._lines <= _MOST_LINES:
            self._log(f"server: {line}")
        if self._lines == _MOST_LINES:
            self._log("server: there will be no more lines like these from this session")


@dataclass(frozen=True, slots=True)
class _Address:
    """A base URL without its name and password, the header that says them or a key, a proxy."""

    url: str
    authorization: str | None = field(repr=False)
    proxy: str | None = field(repr=False)

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class _Job:
    """A request that may be sent, and its prompt as token ids."""

    request: Request
    ids: list[int]


@dataclass(frozen=True, slots=True)
class _Served:
    """What the servers say of their model; ``window`` is None where they do not tell it."""

    name: str
    window: int | None
    is_vllm: bool


@dataclass(frozen=True, slots=True)
class _Reply:
    """A response that arrived whole; its status may be anything."""

    status: int
    text: str
    retry_after: float
    secret: str = field(repr=False)

    def __str__(self) -> str:
        """Gives the status and the server's own words, in which it may repeat our key."""
        text = self.text
        with contextlib.suppress(ValueError, LookupError, TypeError):
            text = str(json.loads(text)["error"]["message"])
        if self.secret:
            text = text.replace(self.secret, "***")
        return f"HTTP {self.status} {_line(text)}".rstrip()


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The server understood a request and will not answer it, however often it is asked."""

    cause: str


class _Fault(Exception):
    """An attempt failed in a way that may pass.

    ``busy``: the server asks for patience; ``away``: there was no connection; ``failed``:
    anything else, for which the request itself may be the reason.
    """

    def __init__(
        self, kind: Literal["busy", "away", "failed"], cause: str, retry_after: float = 0.0
    ) -> None:
        super().__init__(cause)
        self.kind = kind
        self.retry_after = retry_after


class _Endpoint:
    """One URL: what is in flight there, and how it has been doing.

    After failures in a row it rests, longer each time, and is then tried with a single request.
    `tell` takes a line when that begins and ends.
    """

    def __init__(self, address: _Address, tell: Log) -> None:
        self.address = address
        self.in_flight = 0
        self._tell = tell
        self._failures = 0
        self._rests_until = 0.0
        self._on_trial = False

    def is_free(self) -> bool:
        """Tells whether a request may be sent now."""
        resting = time.monotonic() < self._rests_until
        return not resting and not (self._is_ailing() and self._on_trial)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Counts a request in and out, and learns from what becomes of it."""
        trial = self._on_trial = self._is_ailing()
        self.in_flight += 1
        try:
            yield
        except _Fault as fault:
            # What was in flight when the rest began says nothing new.
            if trial or not self._is_ailing():
                self._note(fault)
            raise
        else:
            self._recover()
        finally:
            self.in_flight -= 1
            if trial:
                self._on_trial = False

    def _note(self, fault: _Fault) -> None:
        if fault.kind == "busy":
            return
        self._failures += 1
        if fault.kind == "away":
            self._failures = max(self._failures, _PATIENCE)
        if self._failures == _PATIENCE:
            self._tell(f"{self.address} is asked less until it answers again: {fault}")
        if self._is_ailing():
            self._rests_until = time.monotonic() + _pause_limit(self._failures - _PATIENCE)

    def _recover(self) -> None:
        if self._is_ailing():
            self._tell(f"{self.address} answers again")
        self._failures = 0
        self._rests_until = 0.0

    def _is_ailing(self) -> bool:
        return self._failures >= _PATIENCE


class _Client:
    """Speaks to the endpoints from a thread with an event loop, while its ``with`` block lasts.

    Public methods are for the caller's thread, coroutines run on the loop. What comes back passes
    through a queue: outcomes, lines for the log, and errors.
    """

    def __init__(self, addresses: Sequence[_Address], settings: VllmServer, model: Model) -> None:
        self.served: _Served | None = None
        self.requests_sent = 0
        self._settings = settings
        self._model = model
        self._items: queue.SimpleQueue[Outcome | str | Exception] = queue.SimpleQueue()
        self._endpoints = [_Endpoint(address, self._items.put) for address in addresses]
        self._slots = asyncio.Semaphore(settings.concurrency)
        # When the failures began since which nothing else came back, and the last of them.
        self._failing_since: float | None = None
        self._last_failure = ""
        self._answers = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="completions", daemon=True
        )
        self._http: aiohttp.ClientSession
        # A loop does not keep its tasks alive by itself.
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> _Client:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        closing = asyncio.run_coroutine_threadsafe(self._close(), self._loop)
        with contextlib.suppress(TimeoutError):
            closing.result(_CLOSE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    def contact(self) -> _Served:
        """Gives what is served, once a server has answered a first small request.

        Raises ``GeneratorError`` when none does, or says that it cannot.
        """
        contact = asyncio.run_coroutine_threadsafe(self._contact(), self._loop)
        while not contact.done():
            wait([contact], timeout=1)
            self._check_patience()
        return contact.result()

    def submit(self, jobs: Sequence[_Job]) -> None:
        """Sends each job as soon as there is room; its outcome comes out of ``next_item``."""
        self._loop.call_soon_threadsafe(self._start, jobs)

    def next_item(self) -> Outcome | str:
        """Gives the next outcome or line for the log.

        Raises ``GeneratorError`` when nothing but failures came back for too long.
        """
        while True:
            try:
                item = self._items.get(timeout=1)
            except queue.Empty:
                self._check_patience()
                continue
            if isinstance(item, Exception):
                raise item
            return item

    def _check_patience(self) -> None:
        since = self._failing_since
        if since is None or time.monotonic() - since < self._settings.give_up_seconds:
            return
        raise GeneratorError(
            f"BONITO_SERVER_URL: for {time.monotonic() - since:.0f} s nothing but failures came "
            f"from {self._names()}; the last was: {self._last_failure}. See the server's own log; "
            "if it is only slow, raise `timeout_seconds` or lower `concurrency`. A new run goes "
            "on from here"
        )

    def _names(self) -> str:
        return ", ".join(str(endpoint.address) for endpoint in self._endpoints)

    def _start(self, jobs: Sequence[_Job]) -> None:
        for job in jobs:
            task = self._loop.create_task(self._serve(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        import aiohttp

        seconds = self._settings.timeout_seconds
        self._http = aiohttp.ClientSession(
            # What bounds the connections is the number of requests in flight.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS, sock_read=seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def _close(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.close()

    async def _serve(self, job: _Job) -> None:
        try:
            self._items.put(await self._outcome(job))
        except Exception as error:
            self._items.put(error)

    async def _outcome(self, job: _Job) -> Outcome:
        """Sends the job until it is answered, or turns out to be what cannot be answered.

        A failure speaks against the job only if something else was answered since its last one:
        an outage is nobody's fault.
        """
        attempt = strikes = 0
        before = self._answers
        while True:
            try:
                answer = await self._attempt(job)
            except _Fault as fault:
                if fault.kind == "failed" and await self._others_answered(before):
                    strikes += 1
                    before = self._answers
                if strikes == _PATIENCE:
                    cause = f"failed {strikes} times while others did not, at last with {fault}"
                    return self._set_aside(job, cause)
                await asyncio.sleep(self._pause(fault, attempt))
                attempt += 1
            else:
                if isinstance(answer, _Refusal):
                    return self._set_aside(job, answer.cause)
                return answer

    def _set_aside(self, job: _Job, cause: str) -> Outcome:
        key = job.request.key
        self._items.put(f"request {key} is set aside: {cause}")
        return Outcome(key, rejected_because="engine_error", prompt_tokens=len(job.ids))

    async def _attempt(self, job: _Job) -> Outcome | _Refusal:
        """Sends the job once, to the least busy URL; raises ``_Fault``."""
        async with self._slots:
            endpoint = await self._free_endpoint()
            try:
                with endpoint.turn():
                    self.requests_sent += 1
                    answer = await self._complete(endpoint, job)
            except _Fault as fault:
                self._last_failure = f"{endpoint.address}: {fault}"
                if self._failing_since is None:
                    self._failing_since = time.monotonic()
                raise
            self._failing_since = None
            self._answers += 1
            return answer

    async def _complete(self, endpoint: _Endpoint, job: _Job) -> Outcome | _Refusal:
        """Gives one URL's answer; raises ``_Fault`` for what may pass.

        Raises ``GeneratorError`` for a status that every request would meet.
        """
        payload = _payload(job.request, job.ids, self.served)
        reply = await self._send(endpoint, "POST", "completions", json=payload)
        if reply.status == 200:
            with _whole_body():
                return _outcome(job.request.key, json.loads(reply.text))
        if reply.status in _REFUSALS:
            return _Refusal(str(reply))
        raise _dead_end(endpoint.address, reply)

    async def _send(self, endpoint: _Endpoint, method: str, path: str, **content: Any) -> _Reply:
        """Gives a reply that is no passing fault of the connection or the server."""
        import aiohttp

        address = endpoint.address
        headers = {"Authorization": address.authorization} if address.authorization else None
        try:
            async with self._http.request(
                method,
                f"{address.url}/{path}",
                headers=headers,
                proxy=address.proxy,
                allow_redirects=False,
                **content,
            ) as response:
                text = (await response.read()).decode(errors="replace")
        except (aiohttp.ClientError, OSError) as error:
            no_contact = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
            raise _Fault(
                "away" if isinstance(error, no_contact) else "failed",
                _line(f"{type(error).__name__} {error}"),
            ) from error
        reply = _Reply(
            status=response.status,
            text=text,
            retry_after=_seconds(response.headers.get("Retry-After", "")),
            secret=(address.authorization or "").rpartition(" ")[2],
        )
        if reply.status == 429 or reply.status >= 500:
            kind = "busy" if reply.status == 429 else "failed"
            raise _Fault(kind, str(reply), reply.retry_after)
        return reply

    async def _free_endpoint(self) -> _Endpoint:
        while True:
            free = [endpoint for endpoint in self._endpoints if endpoint.is_free()]
            if free:
                return min(free, key=lambda endpoint: (endpoint.in_flight, random.random()))
            await asyncio.sleep(_POLL_SECONDS)

    def _pause(self, fault: _Fault, attempt: int) -> float:
        # What the server asks for, and on top a draw that keeps many from coming back at once.
        asked = min(fault.retry_after, self._settings.give_up_seconds)
        return asked + random.uniform(0, _pause_limit(attempt))

    async def _others_answered(self, before: int) -> bool:
        """Tells whether there are more answers than `before`; asks for one where there are not."""
        if self._answers == before:
            with contextlib.suppress(_Fault):
                await self._attempt(self._smallest_job())
        return self._answers > before

    def _smallest_job(self) -> _Job:
        """Gives one token for one token: the last of the vocabulary, which a server with another
        model is likely not to know."""
        return _Job(Request("", "", _GREEDY), [self._model.vocabulary - 1])

    async def _contact(self) -> _Served:
        self.served = _common(await self._listings(), self._names())
        attempt = 0
        while True:
            try:
                self._check_first(await self._attempt(self._smallest_job()))
                return self.served
            except _Fault as fault:
                await asyncio.sleep(self._pause(fault, attempt))
                attempt += 1

    def _check_first(self, answer: Outcome | _Refusal) -> None:
        """Raises ``GeneratorError`` where every other request would fare as badly."""
        if isinstance(answer, Outcome) and answer.prompt_tokens == 1:
            if answer.mean_logprob is None:
                self._items.put("gives no log-probabilities; their mean stays empty")
            return
        cause = (
            f"one was sent and {answer.prompt_tokens} were counted"
            if isinstance(answer, Outcome)
            else answer.cause
        )
        raise GeneratorError(
            f"BONITO_SERVER_URL: {self._names()} does not take prompts as token ids of "
            f"'{self._model.name}': {cause}. The server must run the model that BONITO_MODEL names "
            "and take lists of token ids, as vLLM's does"
        )

    async def _listings(self) -> list[_Served]:
        """Gives what is said of the model by each URL that answers; waits for the first."""
        started = time.monotonic()
        patience = min(_FIRST_CONTACT_SECONDS, self._settings.give_up_seconds)
        while True:
            found = await asyncio.gather(*map(self._listing, self._endpoints))
            answers = [served for served in found if served is not None]
            if answers:
                return answers
            if time.monotonic() - started > patience:
                raise GeneratorError(
                    f"BONITO_SERVER_URL: no answer from {self._names()} within {patience:.0f} s; "
                    f"the last failure was: {self._last_failure}. Check the URL, or start a "
                    "server: python -m vllm.entrypoints.openai.api_server "
                    f"--model {self._model.folder} --port 8000"
                )
            await asyncio.sleep(_FIRST_PAUSE_SECONDS)

    async def _listing(self, endpoint: _Endpoint) -> _Served | None:
        import aiohttp

        soon = aiohttp.ClientTimeout(total=_LISTING_SECONDS)
        try:
            with endpoint.turn():
                reply = await self._send(endpoint, "GET", "models", timeout=soon)
                return _listed(endpoint.address, reply, self._settings.served_model)
        except _Fault as fault:
            self._last_failure = f"{endpoint.address}: {fault}"
            return None


def _api_key() -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise GeneratorError(f"{KEY_VARIABLE}: holds characters that cannot stand in a key")
    return key


def _addresses(urls: Sequence[str], key: str) -> list[_Address]:
    """Gives each URL once, ending in ``/v1``; raises ``GeneratorError`` for what is none."""
    addresses = [_address(url.strip(), number, key) for number, url in enumerate(urls, start=1)]
    if not addresses:
        raise GeneratorError(
            "BONITO_SERVER_URL: names no server; set it to a URL such as http://127.0.0.1:8000"
        )
    return list(dict.fromkeys(addresses))


def _with_login(url: str) -> str:
    """Gives `url` as ``BONITO_SERVER_URL`` has it, where that is with a name and password."""
    known = re.split(r"[\s,]+", os.environ.get(URLS_VARIABLE, ""))
    return next((text for text in known if without_login(text) == url), url)


def _address(text: str, number: int, key: str) -> _Address:
    text = _with_login(text)
    try:
        url = urlsplit(text)
        valid = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        valid = False
    if not valid or url.query or url.fragment:
        # The text may hold a password, so the message does not repeat it.
        raise GeneratorError(
            f"BONITO_SERVER_URL: URL {number} is not of the form http://host:8000 or "
            "https://host/v1"
        )
    login, _, host = url.netloc.rpartition("@")
    base = f"{url.scheme}://{host}{url.path}".rstrip("/").removesuffix("/v1")
    if login:
        authorization = f"Basic {base64.b64encode(unquote(login).encode()).decode()}"
    else:
        authorization = f"Bearer {key}" if key else None
    proxy = None if proxy_bypass(url.hostname) else getproxies().get(url.scheme)
    return _Address(f"{base}/v1", authorization, proxy)


def _judge(admission: Admission, requests: Sequence[Request]) -> tuple[list[_Job], list[Outcome]]:
    """Gives what may be sent, and the outcomes of what may not."""
    jobs: list[_Job] = []
    refused: list[Outcome] = []
    for request, verdict in zip(requests, admission.judge(requests), strict=True):
        if verdict.rejected_because is None:
            jobs.append(_Job(request, verdict.ids))
        else:
            n = len(verdict.ids)
            refused.append(
                Outcome(request.key, rejected_because=verdict.rejected_because, prompt_tokens=n)
            )
    return jobs, refused


def _listed(address: _Address, reply: _Reply, wanted: str | None) -> _Served:
    """Gives what one URL lists as its model; raises ``GeneratorError`` if that is not clear."""
    if reply.status == 404 and wanted is not None:
        return _Served(wanted, None, is_vllm=False)  # not every server has such a list
    if reply.status != 200:
        raise _dead_end(address, reply)
    with _whole_body():
        cards = {card["id"]: card for card in json.loads(reply.text)["data"]}
    name = wanted if wanted is not None else next(iter(cards), None)
    if name not in cards or (wanted is None and len(cards) > 1):
        raise GeneratorError(
            f"{address} serves {', '.join(sorted(cards)) or 'no model'}; set "
            "`served_model` of the server backend to the one that BONITO_MODEL names"
        )
    card = cards[name]
    # An adapter has the window of the model that it sits on.
    window = card.get("max_model_len") or cards.get(card.get("parent"), {}).get("max_model_len")
    return _Served(name, window, is_vllm=card.get("owned_by") == "vllm")


def _common(listings: Sequence[_Served], urls: str) -> _Served:
    """Gives what holds for all URLs: one model, and the smallest window."""
    names = sorted({served.name for served in listings})
    if len(names) > 1:
        raise GeneratorError(
            f"BONITO_SERVER_URL: {urls} serve different models: {', '.join(names)}; one session "
            "needs one model, under one name (vLLM: --served-model-name)"
        )
    windows = [served.window for served in listings if served.window]
    return _Served(names[0], min(windows, default=None), all(served.is_vllm for served in listings))


def _payload(request: Request, ids: list[int], served: _Served) -> dict[str, Any]:
    sampling = request.sampling
    payload = {
        "model": served.name,
        "prompt": ids,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "logprobs": 1,
    }
    if request.seed is not None:
        payload["seed"] = request.seed
    return payload | _VLLM_EXTRAS if served.is_vllm else payload


def _outcome(key: str, body: Any) -> Outcome:
    """Gives the outcome that a response holds; raises what ``_whole_body`` turns into a fault.

    vLLM counts and scores the closing EOS token, as its engine does in process.
    """
    choice, usage = body["choices"][0], body["usage"]
    if choice["finish_reason"] not in ("stop", "length"):
        raise ValueError(f"finish_reason is {choice['finish_reason']!r}")
    scores = (choice.get("logprobs") or {}).get("token_logprobs")
    return Outcome(
        key=key,
        output=str(choice["text"]),
        finish_reason=choice["finish_reason"],
        prompt_tokens=int(usage["prompt_tokens"]),
        output_tokens=int(usage["completion_tokens"]),
        mean_logprob=fmean(scores) if scores else None,
    )


@contextlib.contextmanager
def _whole_body() -> Iterator[None]:
    """Turns a body that is cut short, or is something else, into a fault."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        cause = f"an answer that is not whole ({_line(repr(error))})"
        raise _Fault("failed", cause) from error


def _dead_end(address: _Address, reply: _Reply) -> GeneratorError:
    remedy = {
        401: f"set {KEY_VARIABLE} to a key that the server takes",
        403: f"set {KEY_VARIABLE} to a key that may use this model",
        404: "check the path in BONITO_SERVER_URL, and that `served_model` of the server backend, "
        "if set, is a name that the server lists",
    }.get(reply.status, "check that BONITO_SERVER_URL is an OpenAI-compatible endpoint")
    return GeneratorError(f"{address}: {reply}; {remedy}")


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}..."


def _seconds(stated: str) -> float:
    """Gives the seconds that a Retry-After asks to wait, as a number or as a date; else 0."""
    with contextlib.suppress(ValueError):
        return max(0.0, float(stated))
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(stated) - datetime.now(UTC)).total_seconds())
    return 0.0


def _pause_limit(attempt: int) -> float:
    """Gives the seconds within which to draw the pause after the `attempt`-th failure, from 0."""
    return min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(attempt, 10))
