import pytest

from bonito_assets.catalogue import Tuning
from bonito_assets.tuning.lora import tune


@pytest.mark.slow
def test_the_adapter_loads_in_vllm_and_gives_the_same_probabilities(
    base, encoder, tmp_path, monkeypatch
):
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    from peft import PeftModel
    from vllm import LLM, SamplingParams, TokensPrompt
    from vllm.lora.request import LoRARequest

    from bonito_assets.evaluation.scoring import log_likelihoods
    from bonito_assets.tuning.base_model import load

    rows = [
        {"generation_id": f"g{n}", "chunk_id": "c", "input": f"the river {n}", "output": "yes"}
        for n in range(32)
    ]
    # The default rank is 64, more than vLLM takes unless it is told.
    settings = Tuning(learning_rate=1e-2, batch_size=8, max_tokens=256, max_steps=20)
    tune(base, rows, [], {}, settings, tmp_path, lambda line: None)
    prompt, answer = encoder.prompt("the river 3"), encoder.answer("yes")
    tuned = PeftModel.from_pretrained(load(base)[0], tmp_path).eval()
    [[expected]] = log_likelihoods(tuned, [prompt], [[answer]])

    llm = LLM(
        str(base.folder), enable_lora=True, max_lora_rank=64, max_model_len=128, dtype="float32",
        enforce_eager=True,
    )  # fmt: skip
    [request] = llm.generate(
        TokensPrompt(prompt_token_ids=prompt + answer),
        SamplingParams(max_tokens=1, prompt_logprobs=0),
        lora_request=LoRARequest("tuned", 1, str(tmp_path)),
    )
    steps = request.prompt_logprobs[len(prompt) :]
    got = sum(step[token].logprob for step, token in zip(steps, answer, strict=True))
    assert got == pytest.approx(expected, abs=0.03)
    assert got > -2
