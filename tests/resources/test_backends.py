"""The three backends answer the same requests with the same rows."""

import pytest

from bonito_assets import settings
from bonito_assets.generation.prompts import prompt
from resources.generator import Request, Sampling
from resources.ray_cluster import RayCluster
from resources.vllm_engine import VllmEngine
from resources.vllm_server import VllmServer

MODEL = str(settings.DEMO_MODEL)
TASK_TYPES = ["nli", "exqa", "ynqa", "summarization"]
SAMPLING = Sampling(temperature=0.5, top_p=0.95, max_tokens=48)


def requests(number):
    passages = [
        f"The bridge number {i} was built in {1500 + i} over a river. It has {i % 9} arches."
        for i in range(number)
    ]
    return [
        Request(f"key {i}", prompt(passage, TASK_TYPES[i % 4]), SAMPLING, seed=1000 + i)
        for i, passage in enumerate(passages)
    ]


def answers(generator, asked):
    with generator.open(print) as session:
        outcomes = list(session.generate(asked))
    assert len(outcomes) == len(asked)
    return {outcome.key: outcome for outcome in outcomes}


@pytest.mark.slow
def test_engine_server_and_ray_give_the_same_rows_to_seeded_requests(vllm_url):
    asked = requests(500)
    engine = answers(VllmEngine(model=MODEL), asked)
    others = {
        "server": answers(VllmServer(model=MODEL, urls=[vllm_url]), asked),
        "ray": answers(RayCluster(model=MODEL), asked),
    }
    for name, rows in others.items():
        for key, expected in engine.items():
            row = rows[key]
            assert row.output == expected.output, f"{name}: {key}"
            assert row.finish_reason == expected.finish_reason
            assert row.prompt_tokens == expected.prompt_tokens
            assert row.output_tokens == expected.output_tokens
            assert row.mean_logprob == pytest.approx(expected.mean_logprob, abs=1e-3)
