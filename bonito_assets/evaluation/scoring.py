"""What a model says to prompts: log-likelihoods of given answers, and greedy answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# Tokens of prompts in one forward pass: on a 7B model the keys and values of 16k tokens take 2 GB.
_TOKENS_AT_ONCE = 16_384
# Questions about one passage begin alike. From so many common tokens, and so many questions, it
# pays to send what is common through the model once. ContractNLI is scored four times as fast so.
_COMMON_TOKENS = 64
_COMMON_QUESTIONS = 4

Tokens = Sequence[int]


class ScoringError(ValueError):
    """The model gave something that is not a probability."""


def log_likelihoods(
    model: PreTrainedModel,
    prompts: Sequence[Tokens],
    answers: Sequence[Sequence[Tokens]],
    advance: Callable[[int], None] = lambda rows: None,
) -> list[list[float]]:
    """Gives, for each prompt, the sum of the natural log-probabilities of each answer's tokens.

    A prompt goes through the model once, and what many prompts begin with once for all of them;
    each answer is then scored on the keys and values. `advance` is told the number of prompts
    done.
    """
    import torch

    scores: list[list[float]] = [[] for _ in prompts]
    with torch.inference_mode():
        for rows in _batches_by_start(prompts):
            for row, sums in zip(rows, _batch_scores(model, prompts, answers, rows), strict=True):
                scores[row] = sums[: len(answers[row])]
            advance(len(rows))
    if any(value != value for sums in scores for value in sums):
        raise ScoringError("the model gives probabilities that are not numbers; tune it again")
    return scores


def greedy_answers(
    model: PreTrainedModel,
    prompts: Sequence[Tokens],
    end: int,
    most_tokens: int,
    advance: Callable[[int], None] = lambda rows: None,
) -> list[list[int]]:
    """Gives, for each prompt, the most likely next tokens up to the token `end` (left out)."""
    import torch
    from transformers import GenerationConfig

    how = GenerationConfig(
        do_sample=False, max_new_tokens=most_tokens, eos_token_id=end, pad_token_id=end
    )
    answers: list[list[int]] = [[] for _ in prompts]
    with torch.inference_mode():
        for rows in _batches(prompts, range(len(prompts))):
            ids, mask = _left_padded([prompts[row] for row in rows], model.device)
            written = model.generate(input_ids=ids, attention_mask=mask, generation_config=how)
            for row, tokens in zip(rows, written[:, ids.shape[1] :].tolist(), strict=True):
                answers[row] = tokens[: tokens.index(end)] if end in tokens else tokens
            advance(len(rows))
    return answers


def _batches_by_start(prompts: Sequence[Tokens]) -> Iterator[list[int]]:
    """Gives the numbers of prompts that begin alike in batches of their own, then the others."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, prompt in enumerate(prompts):
        groups.setdefault(tuple(prompt[:_COMMON_TOKENS]), []).append(row)
    others: list[int] = []
    for start, rows in groups.items():
        if len(start) == _COMMON_TOKENS and len(rows) >= _COMMON_QUESTIONS:
            yield from _batches(prompts, rows)
        else:
            others += rows
    yield from _batches(prompts, others)


def _batches(prompts: Sequence[Tokens], rows: Iterable[int]) -> Iterator[list[int]]:
    """Gives `rows` in batches of like length, the longest first.

    A machine that is too small then fails at once and not at the end.
    """
    order = sorted(rows, key=lambda row: (-len(prompts[row]), row))
    start = 0
    while start < len(order):
        size = max(1, _TOKENS_AT_ONCE // max(1, len(prompts[order[start]])))
        yield order[start : start + size]
        start += size


def _batch_scores(
    model: PreTrainedModel,
    prompts: Sequence[Tokens],
    answers: Sequence[Sequence[Tokens]],
    rows: list[int],
) -> list[list[float]]:
    import torch

    texts = [prompts[row] for row in rows]
    common, cache = _common_start(texts), None
    if common:
        start = torch.tensor([texts[0][:common]], device=model.device)
        cache = model(input_ids=start, use_cache=True, logits_to_keep=1).past_key_values
        cache.batch_repeat_interleave(len(rows))
    ids, mask = _left_padded([text[common:] for text in texts], model.device)
    positions = common + (mask.cumsum(1) - 1).clamp(min=0)
    mask = torch.cat([mask.new_ones(len(rows), common), mask], 1)
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    first = out.logits[:, -1].float().log_softmax(-1)
    cache, after = out.past_key_values, positions[:, -1:] + 1
    sums = []
    for number in range(max(len(answers[row]) for row in rows)):
        # A row with fewer answers than its neighbours scores its first one again; that is cut off.
        texts = [answers[row][number % len(answers[row])] for row in rows]
        tokens, present = _right_padded(texts, model.device)
        score = first.gather(1, tokens[:, :1]).squeeze(1)
        more = tokens.shape[1] - 1
        if more:
            out = model(
                input_ids=tokens[:, :-1],
                attention_mask=torch.cat([mask, present[:, :-1]], 1),
                position_ids=after + torch.arange(more, device=model.device),
                past_key_values=cache,
                use_cache=True,
            )
            cache = out.past_key_values
            rest = out.logits.float().log_softmax(-1).gather(2, tokens[:, 1:, None]).squeeze(2)
            score = score + (rest * present[:, 1:]).sum(1)
            cache.crop(-more)
        sums.append(score)
    return torch.stack(sums, 1).tolist()


def _common_start(texts: Sequence[Tokens]) -> int:
    """Gives how many tokens all texts begin with; none when that is not worth a pass of its own.

    At least one token of each text stays outside: its output is what the answer begins from.
    """
    if len(texts) < _COMMON_QUESTIONS:
        return 0
    first, last = min(texts), max(texts)  # in dictionary order, so all others lie between them
    common = 0
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        common += 1
    common = min(common, min(map(len, texts)) - 1)
    return common if common >= _COMMON_TOKENS else 0


def _left_padded(
    texts: Sequence[Tokens], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gives ids and mask with every row ending at the same place, where its answer begins."""
    import torch

    longest = max(len(tokens) for tokens in texts)
    ids = [[0] * (longest - len(tokens)) + list(tokens) for tokens in texts]
    mask = [[0] * (longest - len(tokens)) + [1] * len(tokens) for tokens in texts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _right_padded(
    texts: Sequence[Tokens], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    longest = max(len(tokens) for tokens in texts)
    ids = [list(tokens) + [0] * (longest - len(tokens)) for tokens in texts]
    mask = [[1] * len(tokens) + [0] * (longest - len(tokens)) for tokens in texts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
