"""Writes the dataset card: what is in a release, where it came from, what to beware of."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import yaml

from bonito_assets.catalogue import TASK_TYPES, Corpus
from bonito_assets.metadata import cell, markdown_table, verdict_table
from bonito_assets.publishing.books import ACCEPTED, PUBLISHED, Books
from bonito_assets.publishing.facts import Facts
from bonito_assets.publishing.release import Rows
from bonito_assets.publishing.rows import MEANINGS, SCHEMA

# The hub's names for what a model learns from a task type; each is text generation besides.
_CATEGORIES = {
    "question-answering": {"exqa", "qa", "qg", "ynqa"},
    "multiple-choice": {"mcqa"},
    "summarization": {"summarization"},
    "text-classification": {
        "nli", "te", "paraphrase_id", "sentiment", "topic_class", "wsd", "coref",
    },
}  # fmt: skip
# The hub's classes of size: the first bound that a number of rows is under.
_SIZES = {
    1_000: "n<1K",
    10_000: "1K<n<10K",
    100_000: "10K<n<100K",
    1_000_000: "100K<n<1M",
    10_000_000: "1M<n<10M",
    100_000_000: "10M<n<100M",
}
# The hub knows licences by such names; anything else stands there as a name of its own.
_LICENSE_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_LABELS_SHOWN = 20
_LICENSES_SHOWN = 20


def header(
    name: str,
    rows: Rows,
    task_types: Sequence[str],
    license_: str | None,
    languages: Sequence[str],
) -> str:
    """Gives the YAML block that the hub reads: licence, language, size, task types, files."""
    categories = [c for c, members in _CATEGORIES.items() if members.intersection(task_types)]
    block: dict[str, Any] = {
        "pretty_name": f"{name}: instructions made by Bonito",
        "task_categories": ["text-generation", *categories],
        "size_categories": [
            next((size for bound, size in _SIZES.items() if rows.total < bound), "100M<n<1B")
        ],
        "annotations_creators": ["machine-generated"],
        "tags": ["bonito", "synthetic", "instruction-tuning"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}.parquet"} for split in rows.splits
                ],
            }
        ],
    }
    if languages:
        block["language"] = list(languages)
    if license_ and _LICENSE_NAME.fullmatch(license_):
        block["license"] = license_
    elif license_:
        block["license"], block["license_name"] = "other", license_
    return f"---\n{yaml.safe_dump(block, sort_keys=False, allow_unicode=True)}---"


def card(
    corpus: Corpus,
    rows: Rows,
    books: Books,
    facts: Facts,
    bill: Mapping[str, Any],
    images: Mapping[str, str],
) -> str:
    """Gives the text of README.md: YAML that the hub reads, then prose that people read.

    `images` are the plots of the release: path relative to it, and what each shows.
    """
    sections = {
        "Where it comes from": _sources(corpus, books, facts),
        "How to load it": LOADING,
        "From documents to rows": _funnel(books),
        "Task types and labels": _distributions(corpus, facts),
        "Plots": _plots(images),
        "Accepted rows, a sample": markdown_table(facts.kept),
        "What became of each generation": verdict_table(books["curated_tasks"]["verdicts"]),
        "Refused rows, a sample": _refused(facts),
        "Overlap with test sets": _overlap(corpus, facts),
        "How it was made": _parameters(corpus),
        "What it cost": _cost(bill),
        "Columns": columns(),
        "Limits and risks": LIMITS,
    }
    return "\n\n".join(
        [
            header(corpus.name, rows, corpus.task_types, corpus.license, corpus.languages),
            f"# {corpus.name}",
            corpus.description or "No description was given.",
            f"Release `{rows.version}`, {rows.total:,} rows. {_models(facts)} wrote the "
            "instructions and answers about the passages of this corpus; Bonito Assets read, "
            "checked and deduplicated them. No person has labelled or read them.",
            *(f"## {title}\n\n{text}" for title, text in sections.items() if text),
            "",
        ]
    )


LOADING = """\
The folder opens as it is, and so does its copy on the hub:

```python
import datasets

dataset = datasets.load_dataset("path/to/this/folder")
print(dataset["train"][0]["messages"])
```

`sha256sum --check SHA256SUMS` tells whether every file is as it was published; `croissant.json` \
describes files and columns for machines, and `books.json` holds the counts below."""

LIMITS = """\
- The rows are synthetic. Answers can be wrong, unsupported by the passage, or biased as the \
generating model and the documents are; a check by rules does not read for meaning. Look at a \
sample before you train.
- A model tuned on little text can become worse than it was: measure it on a test set of your own, \
beside the untuned model.
- That such data helps has been shown for yes-no questions, extractive questions and natural \
language inference, in English. The generating model saw few examples of coreference, textual \
entailment, word senses and paraphrases.
- Bonito was not trained to be safe, so harmful or private content of the documents can stand in \
the rows too.
- Yes-no questions never have the answer "maybe". Answers are short, which can blunt models that \
reason at length."""


def columns() -> str:
    """Gives the columns of a release with their meanings, as Markdown."""
    listed = "\n".join(f"- `{name}`: {MEANINGS[name]}" for name in SCHEMA.names)
    return f"{listed}\n\nThe splits share no document."


def _sources(corpus: Corpus, books: Books, facts: Facts) -> str:
    source = corpus.source
    if source.dataset is not None:
        origin = f"Rows of the dataset {code(source.dataset.path)}"
        if source.dataset.revision:
            origin += f" at revision {code(source.dataset.revision)}"
    else:
        shown = ", ".join(code(_pattern(pattern)) for pattern in source.patterns)
        origin = f"Files matching {shown}"
    kinds = ", ".join(f"{cell(kind)} {n:,}" for kind, n in facts.media_types.items())
    licence = (
        f"The corpus is under the licence {cell(corpus.license)}."
        if corpus.license
        else "No licence was stated for the corpus: find out before you pass it on."
    )
    parts = [f"{origin}: {books['documents']['rows']:,} documents ({kinds}). {licence}"]
    if facts.licenses:
        shown_first = list(facts.licenses.items())[:_LICENSES_SHOWN]
        stated = [{"licence": name, "documents": f"{n:,}"} for name, n in shown_first]
        parts += ["Licences that documents state themselves:", markdown_table(stated)]
    return "\n\n".join(parts)


def _pattern(pattern: str) -> str:
    """Gives a pattern of files without the folders and passwords of whoever published."""
    scheme, mark, rest = pattern.rpartition("://")
    if mark:
        return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
    parts = PurePath(pattern).parts
    fixed = next((n for n, part in enumerate(parts) if "*" in part), len(parts) - 1)
    return "/".join(parts[max(0, fixed - 1) :])


def code(text: str) -> str:
    """Gives `text` as a code span, which nothing in it can end."""
    return f"`{' '.join(text.replace('`', ' ').split())}`"


def _models(facts: Facts) -> str:
    return ", ".join(map(code, facts.models)) or "No model"


def _funnel(books: Books) -> str:
    steps = [
        {
            "step": name,
            "rows": f"{entry['rows']:,}",
            "accepted": f"{entry['verdicts'].get(ACCEPTED, 0):,}",
        }
        for name, entry in books.items()
        if name != PUBLISHED
    ]
    for split, n in books[PUBLISHED]["splits"].items():
        steps.append({"step": split, "rows": f"{n:,}", "accepted": f"{n:,}"})
    behind = (
        f"The published rows come from {books[PUBLISHED]['chunks']:,} passages of "
        f"{books[PUBLISHED]['documents']:,} documents."
    )
    return f"{markdown_table(steps)}\n\n{behind}"


def _distributions(corpus: Corpus, facts: Facts) -> str:
    asked = facts.by("task_type")
    kept = facts.by("task_type", rejected_because=None)
    lengths = {row["task_type"]: row for row in facts.lengths}
    types = [
        {
            "task type": name,
            "meaning": _meaning(corpus, name),
            "rows": f"{kept.get(name, 0):,}",
            "kept": f"{kept.get(name, 0) / n:.0%}",
            "instruction": _quantiles(lengths.get(name, {}).get("input")),
            "answer": _quantiles(lengths.get(name, {}).get("output")),
        }
        for name, n in asked.items()
    ]
    parts = [
        markdown_table(types),
        "Lengths are in characters: the middle one, and in brackets what 5% are under and 5% over.",
    ]
    labelled = facts.by("task_type", "label", rejected_because=None)
    labels = [
        {
            "task type": name,
            "label": label,
            "rows": f"{n:,}",
            "share": f"{n / kept[name]:.0%}",
        }
        for (name, label), n in labelled.items()
        if label is not None
    ]
    if labels:
        parts.append(markdown_table(labels[:_LABELS_SHOWN]))
    if len(labels) > _LABELS_SHOWN:
        parts.append(f"{len(labels) - _LABELS_SHOWN:,} rarer labels are not shown.")
    return "\n\n".join(parts)


def _meaning(corpus: Corpus, task_type: str) -> str:
    """Gives the full name of a task type; one that the catalogue has dropped since has its own."""
    known = task_type in corpus.custom_task_types or task_type in TASK_TYPES
    return corpus.full_name(task_type) if known else task_type


def _quantiles(values: Sequence[float] | None) -> str:
    return f"{values[1]:,.0f} ({values[0]:,.0f} to {values[2]:,.0f})" if values else ""


def _plots(images: Mapping[str, str]) -> str:
    return "\n\n".join(f"![{caption}]({path})" for path, caption in images.items())


def _refused(facts: Facts) -> str:
    if not facts.rejected:
        return ""
    return "What the model wrote, one for each reason:\n\n" + markdown_table(facts.rejected)


def _overlap(corpus: Corpus, facts: Facts) -> str:
    if corpus.evaluation is None and not corpus.curation.decontaminate_against:
        return "The corpus names no test set, so none was looked for."
    contaminated = facts.by("contaminated_by", rejected_because="contaminated")
    transductive = facts.by("transductive", rejected_because=None).get(True, 0)
    parts = [
        f"{sum(contaminated.values()):,} rows share a stretch of words with a test set and were "
        f"refused. {transductive:,} published rows are about a passage that the corpus's own test "
        "set asks about too (the transductive setting): their questions are others, but a score "
        "on that test set is not one on unseen text."
    ]
    if contaminated:
        parts.append(
            markdown_table(
                [{"test set": name or "", "rows": f"{n:,}"} for name, n in contaminated.items()]
            )
        )
    return "\n\n".join(parts)


def _parameters(corpus: Corpus) -> str:
    """Gives the settings that decide what rows there are, in a form that YAML reads too."""
    settings = corpus.model_dump(
        mode="json",
        include={"task_types", "custom_task_types", "sampling", "chunking", "parsing", "curation"},
    )
    # Places on the machine of whoever published are nobody else's business.
    settings["curation"]["decontaminate_against"] = [
        PurePath(place).name for place in corpus.curation.decontaminate_against
    ]
    settings["samples_per_chunk"] = corpus.samples_per_chunk
    # JSON keeps a text on its line, so that none can end the block.
    return f"```json\n{json.dumps(settings, indent=1, ensure_ascii=False)}\n```"


def _cost(bill: Mapping[str, Any]) -> str:
    rows = [
        {
            "item": label,
            "total": f"{bill['total'][name]:,.{digits}f}",
            "since the last release": f"{bill['since'][name]:,.{digits}f}",
            "per published row": f"{bill['per_row'][name]:,.4g}",
        }
        for name, label, digits in (
            ("prompt_tokens", "prompt tokens", 0),
            ("output_tokens", "output tokens", 0),
            ("gpu_seconds", "engine seconds × accelerators", 1),
            ("money", "money", 2),
        )
        if name != "money" or bill["total"]["money"]
    ]
    return markdown_table(rows)
