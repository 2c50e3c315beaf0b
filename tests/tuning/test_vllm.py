"""What was tuned loads in vLLM, as an adapter and merged, and says there what it says in PEFT."""

import pytest

from bonito_assets.catalogue import Tuning
from bonito_assets.tuning.export import export
from bonito_assets.tuning.lora import tune
from bonito_assets.tuning.record import write_record

# The default rank, 64, is more than vLLM takes unless it is told.
SETTINGS = Tuning(learning_rate=1e-2, batch_size=8, max_tokens=256, max_steps=20)


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    rows = [
        {"generation_id": f"g{n}", "chunk_id": "c", "input": f"the river {n}", "output": "yes"}
        for n in range(32)
    ]
    outcome = tune(base, rows, [], {}, SETTINGS, folder, lambda line: None)
    write_record(folder, "meadows", base, folder, SETTINGS, outcome)
    return folder


@pytest.fixture(scope="module")
def expected(base, encoder, adapter):
    """The log-probability of an answer by base and adapter in PEFT."""
    from peft import PeftModel

    from bonito_assets.evaluation.scoring import log_likelihoods
    from bonito_assets.tuning.base_model import load_model

    tuned = PeftModel.from_pretrained(load_model(base), adapter).eval()
    [[total]] = log_likelihoods(tuned, [encoder.prompt("the river 3")], [[encoder.answer("yes")]])
    return total


def in_vllm(folder, encoder, monkeypatch, lora=None, **arguments):
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    from vllm import LLM, SamplingParams, TokensPrompt

    prompt, answer = encoder.prompt("the river 3"), encoder.answer("yes")
    llm = LLM(str(folder), max_model_len=128, dtype="float32", enforce_eager=True, **arguments)
    [request] = llm.generate(
        TokensPrompt(prompt_token_ids=prompt + answer),
        SamplingParams(max_tokens=1, prompt_logprobs=0),
        lora_request=lora,
    )
    steps = request.prompt_logprobs[len(prompt) :]
    return sum(step[token].logprob for step, token in zip(steps, answer, strict=True))


@pytest.mark.slow
def test_the_adapter_gives_the_same_probabilities_in_vllm(
    base, encoder, adapter, expected, monkeypatch
):
    from vllm.lora.request import LoRARequest

    request = LoRARequest("tuned", 1, str(adapter))
    got = in_vllm(base.folder, encoder, monkeypatch, request, enable_lora=True, max_lora_rank=64)
    assert got == pytest.approx(expected, abs=0.03)
    assert got > -2


@pytest.mark.slow
def test_the_merged_model_gives_the_same_probabilities_in_vllm(
    base, encoder, adapter, expected, tmp_path, monkeypatch
):
    export(adapter, base, tmp_path / "merged")
    got = in_vllm(tmp_path / "merged", encoder, monkeypatch)
    assert got == pytest.approx(expected, abs=0.03)
