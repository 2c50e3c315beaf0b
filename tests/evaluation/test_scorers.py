"""Both engines against each other, and against one plain pass of transformers per answer."""

import random

import pytest

from bonito_assets.evaluation.rank_loop import adapter_arguments
from bonito_assets.evaluation.scorers import open_arms

WORDS = "the river rises in spring and floods meadows what is it a stork or a heron".split()
CHOICES = (["yes", "no"], ["Entailment", "Contradiction", "NotMentioned"], ["a stork", "it"])


def items(encoder, count, seed=0):
    """Prompts of one to eighty words, each with two or three answers."""
    chance = random.Random(seed)
    prompts = [
        encoder.prompt(" ".join(chance.choices(WORDS, k=chance.randint(1, 80))))
        for _ in range(count)
    ]
    answers = [
        [encoder.answer(choice) for choice in CHOICES[number % len(CHOICES)]]
        for number in range(count)
    ]
    return prompts, answers


def direct(model, prompt, answer):
    """One forward pass over prompt and answer, without padding and without a cache."""
    import torch

    with torch.no_grad():
        logits = model(torch.tensor([prompt + answer])).logits[0].double()
    steps = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    return sum(float(step[token]) for step, token in zip(steps, answer, strict=True))


def said(engine, base, adapter, encoder, prompts, answers):
    """What each arm says, as log-likelihoods and as greedy answers, and lines of the log."""
    found, lines, done = {}, [], []
    with open_arms(engine, base, {"tuned": adapter}, 400, lines.append) as arms:
        for name, scorer in arms:
            sums = scorer.log_likelihoods(prompts, answers, done.append)
            written = scorer.greedy_answers(prompts[:20], encoder.end, 8, done.append)
            found[name] = sums, written
    assert sum(done) == 2 * (len(prompts) + 20)
    return found, lines


def test_arms_come_in_turn_the_base_model_first_and_each_as_it_is(base, adapter, encoder, model):
    prompts, answers = items(encoder, 24)
    found, _ = said("transformers", base, adapter, encoder, prompts, answers)
    assert list(found) == ["base", "tuned"]
    expected = [
        [direct(model, prompt, answer) for answer in row]
        for prompt, row in zip(prompts, answers, strict=True)
    ]
    assert [pytest.approx(row, abs=1e-4) for row in expected] == found["base"][0]
    assert found["tuned"][0] != found["base"][0]


def test_room_is_made_for_the_largest_adapter(tmp_path):
    ranks = {"one": 8, "other": 48}
    for name, rank in ranks.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(f'{{"r": {rank}}}')
    assert adapter_arguments(tmp_path / name for name in ranks) == {
        "enable_lora": True,
        "max_loras": 2,
        "max_lora_rank": 64,
    }
    assert adapter_arguments([]) == {}


@pytest.mark.slow
def test_vllm_gives_the_scores_of_a_direct_computation_on_200_items_for_both_arms(
    base, adapter, encoder, model
):
    from peft import PeftModel

    from bonito_assets.tuning.base_model import load_model

    prompts, answers = items(encoder, 200)
    found, lines = said("vllm", base, adapter, encoder, prompts, answers)
    tuned = PeftModel.from_pretrained(load_model(base), adapter).eval()
    for name, arm in (("base", model), ("tuned", tuned)):
        expected = [
            [direct(arm, prompt, answer) for answer in row]
            for prompt, row in zip(prompts, answers, strict=True)
        ]
        assert [pytest.approx(row, abs=1e-3) for row in expected] == found[name][0]
    by_transformers, _ = said("transformers", base, adapter, encoder, prompts, answers)
    for name, (sums, written) in by_transformers.items():
        assert [pytest.approx(row, abs=1e-3) for row in sums] == found[name][0]
        # Answers may part at a tie of two tokens; most have none.
        assert sum(map(list.__eq__, written, found[name][1])) >= 18
    assert any("engine started on" in line for line in lines)


@pytest.mark.slow
def test_an_engine_that_cannot_start_is_one_clear_error(base, tmp_path):
    import shutil

    from bonito_assets.evaluation.scoring import ScoringError
    from resources.model import resolve

    broken = shutil.copytree(base.folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    with (
        pytest.raises(ScoringError, match=r"engine was lost.*evaluation\.engine to transformers"),
        open_arms("vllm", resolve(str(broken), "X"), {}, 400, lambda line: None),
    ):
        pass
