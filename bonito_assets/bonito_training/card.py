"""The model cards of the two checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TITLES = {
    "bonito": "Bonito demonstration checkpoint",
    "base": "Base network of the Bonito demonstration checkpoint",
}


def card(name: str, record: Mapping[str, Any]) -> str:
    """Gives the README of ``base`` or ``bonito``: front matter, purpose, limits, data, training."""
    shape, base, bonito = record["shape"], record["base"], record["bonito"]
    lines = [
        "---",
        "language: en",
        "license: cc-by-sa-4.0",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags: [bonito, synthetic-data, demonstration]",
        "---",
        "",
        f"# {_TITLES[name]}",
        "",
        *_purpose(name, shape["parameters"]),
        "",
        "## What it is not",
        "",
        "It is a toy that shows the plumbing on a laptop. It knows no facts, understands nothing, "
        "writes English only, and copies what it is given. **Never use what it writes to train "
        "anything real.** It had no safety training: it repeats whatever a passage holds, and "
        "its labels are often wrong. It is not the Bonito model of Nayak et al. (2024), shares no "
        "weights with it, and says nothing about that model's quality.",
        "",
        "## How it was made",
        "",
        f"From random weights (and a hand-made start for copying, see "
        f"`bonito_assets/bonito_training/network.py`), {shape['layers']} layers of width "
        f"{shape['width']}, {shape['vocabulary']:,} tokens, on {record['hardware']['processor']} "
        f"({record['hardware']['cores']} cores"
        + (f", {record['hardware']['gpu']}" if record["hardware"]["gpu"] else "")
        + "):",
        "",
        "| phase | steps | tokens | minutes | tokens/s | last loss |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        _phase_row("base: read and repeat text", base),
        _phase_row("Bonito: write tasks", bonito),
        "",
        "The pairs come from rules: a sentence of a passage becomes a question, a claim or its "
        "opposite, with the answer known by construction. Repeat it with the assets `ctga` and "
        "`bonito_checkpoint`: `dg launch --assets ctga,bonito_checkpoint --config "
        "models/recipe.json`, with the places of your copies of the sources for `SOURCES` in that "
        "file, or without `--config` for a two-minute trial on invented passages alone. Settings, "
        "digests of the sources and the loss curves are in `training.json`.",
        "",
        "## Text it was trained on",
        "",
        "| source | licence | passages | pairs |",
        "| --- | --- | ---: | ---: |",
        *(
            f"| {s['name']} | {s['license']} | {s['passages']:,} | {s['pairs']:,} |"
            for s in record["sources"]
        ),
        "",
        "Share-alike texts are among them, so the weights are under CC BY-SA 4.0.",
    ]
    if name == "bonito":
        lines += [
            "",
            "## Measured",
            "",
            "Answers to held-out pairs, the instruction given, greedy:",
            "",
            "| task type | right |",
            "| --- | ---: |",
            *(f"| {k} | {v:.0%} |" for k, v in record["held_out_answers_right"].items()),
            "",
            *_sampled(record.get("sampled")),
            "`python -m benchmarks.demo_checkpoint` measures what it samples in vLLM.",
        ]
    return "\n".join(lines) + "\n"


def adapter_card(record: Mapping[str, Any]) -> str:
    """Gives the README of a Bonito adapter that was trained over a base model."""
    base, settings = record["base_model"], record["settings"]
    before, after = record["validation_loss"] or (None, None)
    lines = [
        "---",
        "library_name: peft",
        "pipeline_tag: text-generation",
        "tags: [bonito, synthetic-data, lora]",
        "---",
        "",
        f"# Bonito adapter for {base['name']}",
        "",
        "With this adapter the base model writes instruction-tuning tasks in the format of Bonito: "
        "given a task type and a passage, an instruction with `{{context}}` in place of the "
        "passage, `<|pipe|>`, and an answer. Set `BONITO_MODEL` to this folder to generate with "
        "it. Its licence follows from those of the base model and of the data sets below.",
        "",
        "## How it was trained",
        "",
        f"{record['method']} over `{base['name']}` ({base['fingerprint']}): rank "
        f"{settings['lora_r']}, alpha {settings['lora_alpha']}, learning rate "
        f"{settings['learning_rate']:g}, {record['steps']:,} steps of {settings['batch_size']} "
        f"pairs, at most {settings['max_tokens']:,} tokens each, loss on the completion alone; "
        f"{record['seconds'] / 3600:.1f} hours on "
        f"{record['hardware']['gpu'] or record['hardware']['processor']}.",
        "",
    ]
    if before is not None:
        lines += [
            f"Loss on {record['pairs']['held_out']:,} held-out pairs: {before:.3f} before, "
            f"{after:.3f} after (nats per token).",
            "",
        ]
    lines += [
        "| source | licence | pairs |",
        "| --- | --- | ---: |",
        *(f"| {s['name']} | {s['license']} | {s['pairs']:,} |" for s in record["sources"]),
    ]
    return "\n".join(lines) + "\n"


def _sampled(table: Mapping[str, Mapping[str, Any]] | None) -> list[str]:
    """Gives the result of the benchmark as a table, where the record holds it."""
    if not table:
        return []
    return [
        "Sampled on the demo corpus (temperature 0.5, top-p 0.95), in percent of the completions: "
        "in the format; also in the form of the type; of those that a rule can decide, right:",
        "",
        "| task type | n | format | form | right |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {kind} | {row['n']} | {row['parse']} | {row['check']} "
            f"| {'' if row['right'] is None else row['right']} |"
            for kind, row in table.items()
        ),
        "",
    ]


def _phase_row(title: str, phase: Mapping[str, Any]) -> str:
    last = phase["curve"][-1]["loss"] if phase["curve"] else ""
    return (
        f"| {title} | {phase['steps']:,} | {phase['tokens']:,} | {phase['seconds'] / 60:.1f} "
        f"| {phase['tokens_per_second']:,} | {last} |"
    )


def _purpose(name: str, parameters: int) -> list[str]:
    if name == "base":
        return [
            f"A Mistral network of {parameters:,} parameters that has read a little plain English "
            "and learned to repeat it. The demonstration tunes it with LoRA; the Bonito "
            "demonstration checkpoint was trained from it.",
        ]
    return [
        f"A Mistral network of {parameters:,} parameters that writes instruction-tuning tasks in "
        "the format of Bonito: given a task type and a passage, an instruction with `{{context}}` "
        "in place of the passage, `<|pipe|>`, and an answer.",
        "",
        "```",
        "<|tasktype|>",
        "yes-no question answering",
        "<|context|>",
        "{the passage}",
        "<|task|>",
        "```",
    ]
