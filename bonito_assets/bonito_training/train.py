"""Trains the network: first to continue and repeat text, then to write Bonito's tasks.

A short loop of its own instead of ``transformers.Trainer``: batches are cut by tokens from rows of
like length, logits are computed only where there is a loss, and the compiled network makes about
11,000 tokens a second on two idle cores where the Transformers model made 6,500 under the same
autocast.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonito_assets.bonito_training.network import PAD, Shape, build, start
from bonito_assets.tables import PIPE

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    Row = tuple[list[int], list[float]]  # token ids, and the weight of the loss on each of them


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train. A phase ends after its steps or its minutes."""

    base_steps: int = 700
    base_minutes: float = 6.0
    bonito_steps: int = 20_000
    bonito_minutes: float = 60.0
    batch_tokens: int = 3072
    learning_rate: float = 1.5e-3
    answer_weight: float = 6.0
    threads: int = 2
    compiled: bool = True
    seed: int = 0


@dataclass
class Phase:
    """What happened in one phase: steps, tokens, seconds and the curve of the loss."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """Gives all of it and the tokens per second, for a record."""
        return {**asdict(self), "tokens_per_second": round(self.tokens / max(self.seconds, 1e-9))}


def repeats(passages: Sequence[list[str]], tokenizer: Tokenizer, rng: random.Random) -> list[Row]:
    """Gives rows for the base phase: a passage, a line break, its sentences again in any order.

    The loss on the first reading counts half: it teaches words, the second reading copying.
    """
    first = [" ".join(sentences) for sentences in passages]
    second = []
    for sentences in passages:
        mixed = list(sentences)
        rng.shuffle(mixed)
        second.append("\n" + " ".join(mixed))
    begin = tokenizer.encode_batch(first)
    again = tokenizer.encode_batch(second, add_special_tokens=False)
    end = tokenizer.token_to_id("</s>")
    return [
        ([*a.ids, *b.ids, end], [0.0] + [0.5] * (len(a.ids) - 1) + [1.0] * (len(b.ids) + 1))
        for a, b in zip(begin, again, strict=True)
    ]


def tasks(
    prompts: Sequence[str], completions: Sequence[str], tokenizer: Tokenizer, answer_weight: float
) -> list[Row]:
    """Gives rows for the Bonito phase: no loss on the prompt, most on the answer.

    A word of the instruction that opens a line, a quotation or what follows a colon has three
    times the weight of others: it decides what is copied, and the words after it follow from it.
    Prompt and completion are tokenised apart, as they are when the model is used. An answer of
    up to eight tokens has `answer_weight` on each; a longer one is weighted as much in all.
    """
    ahead = tokenizer.encode_batch(list(prompts))
    behind = tokenizer.encode_batch(list(completions), add_special_tokens=False)
    pipe, end = tokenizer.token_to_id(PIPE), tokenizer.token_to_id("</s>")
    openers = _openers(tokenizer)
    rows = []
    for a, b in zip(ahead, behind, strict=True):
        written = [*b.ids, end]
        instruction = written.index(pipe) + 2
        answer = len(written) - instruction
        weight = max(1.0, answer_weight * min(1.0, 8 / answer))
        asked = [1.0] + [3.0 if i in openers else 1.0 for i in written[: instruction - 1]]
        rows.append(([*a.ids, *written], [0.0] * len(a.ids) + asked + [weight] * answer))
    return rows


def _openers(tokenizer: Tokenizer) -> set[int]:
    """Gives the tokens after which something is copied: opening quotes, line breaks, colons."""
    return {
        i
        for token, i in tokenizer.get_vocab().items()
        if token == ":" or token.endswith(('\u0120"', _JOINER_BYTES))
    }


# The joiner of the tokenizer in the letters of byte-level BPE.
_JOINER_BYTES = "\u00e2\u0123\u0142"


def batches(
    rows: Sequence[Row], tokens: int, pad: int, rng: random.Random
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yields ids and weights (batch, length) once over `rows`, about `tokens` tokens each.

    Rows are sorted by length within runs of 4,096, so that little is padded, and the batches of
    a run are shuffled.
    """
    import torch

    for begin in range(0, len(rows), 4096):
        run = sorted(rows[begin : begin + 4096], key=lambda row: len(row[0]))
        cuts: list[list[Row]] = [[]]
        for row in run:
            length = -(-len(row[0]) // 16) * 16
            if cuts[-1] and (len(cuts[-1]) + 1) * length > tokens:
                cuts.append([])
            cuts[-1].append(row)
        rng.shuffle(cuts)
        for cut in cuts:
            length = -(-max(len(ids) for ids, _ in cut) // 16) * 16
            ids = torch.full((len(cut), length), pad)
            weights = torch.zeros((len(cut), length))
            for i, (row, weight) in enumerate(cut):
                ids[i, : len(row)] = torch.tensor(row)
                weights[i, : len(row)] = torch.tensor(weight)
            yield ids, weights


def loss_of(network: Callable, embedding: torch.Tensor, ids: Any, weights: Any) -> torch.Tensor:
    """Gives the weighted mean of the negative log-likelihood (nats) of each next token."""
    import torch
    from torch.nn import functional as F

    with torch.autocast(ids.device.type, torch.bfloat16):
        states = network(ids)[:, :-1]
        counted = weights[:, 1:] > 0
        logits = F.linear(states[counted], embedding)
    each = F.cross_entropy(logits.float(), ids[:, 1:][counted], reduction="none")
    return (each * weights[:, 1:][counted]).sum() / weights[:, 1:][counted].sum()


def answers_right(
    network: Any, rows: Sequence[Row], kinds: Sequence[str], pad: int
) -> dict[str, float]:
    """Gives, by kind of row, the share whose heaviest tokens (the answer) are all the likeliest.

    The instruction before it is given, so this is the accuracy of greedy answering.
    """
    import torch
    from torch.nn import functional as F

    right: dict[str, list[float]] = defaultdict(list)
    device = network.embed_tokens.weight.device
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        # Rows of one length together: a long one would pad the 31 beside it.
        order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
        for begin in range(0, len(rows), 32):
            part = order[begin : begin + 32]
            ids, weights = next(batches([rows[i] for i in part], 10**9, pad, random.Random(0)))
            ids, weights = ids.to(device), weights.to(device)
            likeliest = F.linear(network(ids)[:, :-1], network.embed_tokens.weight).argmax(-1)
            heavy = (weights[:, 1:] == weights.max(1, keepdim=True).values) & (weights[:, 1:] > 0)
            good = ((likeliest == ids[:, 1:]) | ~heavy).all(1)
            for i, ok in zip(part, good.tolist(), strict=True):
                right[kinds[i]].append(float(ok))
    return {kind: sum(found) / len(found) for kind, found in sorted(right.items())}


class Cores:
    """How many threads to train with while other programs come and go.

    Threads that wait for one another are as slow as the slowest: with a second program on two
    cores, two threads made 700 tokens a second and one thread 5,900.
    """

    def __init__(self, most: int, every: float = 6.0) -> None:
        self._most, self._every = most, every
        self._threads = most
        self._seen = self._used()

    def free(self) -> int:
        """Gives the number of threads to use now; it changes every few seconds at most."""
        if time.monotonic() - self._seen[2] >= self._every:
            before, self._seen = self._seen, self._used()
            busy, own, passed = (b - a for a, b in zip(before, self._seen, strict=True))
            others = (busy - own) / passed
            self._threads = max(1, self._most - math.ceil(max(0.0, others - 0.3)))
        return self._threads

    @staticmethod
    def _used() -> tuple[float, float, float]:
        """Gives CPU seconds used by all programs and by this one, and the time; zeros off Linux."""
        now = time.monotonic()
        try:
            with Path("/proc/stat").open(encoding="ascii") as file:
                fields = [int(field) for field in file.readline().split()[1:]]
        except OSError:
            return 0.0, 0.0, now
        idle = sum(fields[3:5])  # idle, and waiting for a disk
        return (sum(fields[:8]) - idle) / os.sysconf("SC_CLK_TCK"), time.process_time(), now


class Trainer:
    """A network in training: weights, compiled form and the plan that both phases follow."""

    def __init__(self, shape: Shape, plan: Plan, log: Callable[[str], None]) -> None:
        import torch

        torch.set_num_threads(plan.threads)
        torch.manual_seed(plan.seed)
        self.cores = Cores(plan.threads)
        self.plan, self.log = plan, log
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.network = build(shape)
        start(self.network, shape, plan.seed)
        self.network.to(self.device)
        # Without a C++ compiler the network runs as it is, at two thirds of the speed.
        compiled = plan.compiled and shutil.which("g++") is not None
        if compiled:
            import torch._inductor.config as inductor

            inductor.cpp.dynamic_threads = True  # else the number of threads is compiled in
        self.forward = torch.compile(self.network, dynamic=True) if compiled else self.network

    def run(
        self,
        rows: Sequence[Row],
        steps: int,
        minutes: float,
        tokenizer: Tokenizer,
        evaluate: Callable[[], dict[str, float]] | None = None,
        keep: Callable[[], None] | None = None,
    ) -> Phase:
        """Trains on `rows`, again from the start when they are used up, and gives what happened.

        AdamW; the learning rate rises over 2 percent of the phase, stays, and falls linearly to a
        hundredth over its second half. `keep` is called every five minutes to save what there is.
        """
        import torch

        plan, phase = self.plan, Phase()
        weights = list(self.network.parameters())
        optimizer = torch.optim.AdamW(
            weights, lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        rng = random.Random(plan.seed)
        pad = tokenizer.token_to_id(PAD)
        began = told = kept = time.monotonic()
        recent: list[float] = []
        stream = iter(())
        while True:
            elapsed = time.monotonic() - began
            done = max(phase.steps / max(steps, 1), elapsed / max(minutes * 60, 1e-9))
            if done >= 1:
                break
            batch = next(stream, None)
            if batch is None:
                stream = batches(rows, plan.batch_tokens, pad, rng)
                batch = next(stream)
            rate = min(1.0, done / 0.02 + 0.05) * min(1.0, max(0.01, 2 * (1 - done)))
            for group in optimizer.param_groups:
                group["lr"] = plan.learning_rate * rate
            torch.set_num_threads(self.cores.free())
            ids, mass = batch[0].to(self.device), batch[1].to(self.device)
            loss = loss_of(self.forward, self.network.embed_tokens.weight, ids, mass)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            phase.steps += 1
            phase.tokens += ids.numel()
            recent.append(loss.item())
            now = time.monotonic()
            if not math.isfinite(recent[-1]):
                raise FloatingPointError(
                    f"step {phase.steps}: the loss is {recent[-1]}; lower `learning_rate`"
                )
            if now - told >= 60:
                told, mean = now, sum(recent) / len(recent)
                recent = []
                point = {"step": phase.steps, "seconds": round(now - began), "loss": round(mean, 4)}
                phase.curve.append(point | (evaluate() if evaluate else {}))
                speed = phase.tokens / (now - began)
                self.log(f"{phase.curve[-1]} {done:.0%} done, {speed:,.0f} tokens/s")
            if keep and now - kept >= 300:
                kept = now
                keep()
        phase.seconds = time.monotonic() - began
        if recent:
            last = {"step": phase.steps, "seconds": round(phase.seconds)}
            mean = round(sum(recent) / len(recent), 4)
            phase.curve.append({**last, "loss": mean} | (evaluate() if evaluate else {}))
        return phase
