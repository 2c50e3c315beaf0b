"""Writes the dataset card: what is in a release, where it came from, what to beware of."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import yaml

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.metadata import markdown_table, verdict_table
from bonito_assets.publishing.release import Release


def card(corpus: Corpus, release: Release, books: Mapping[str, pa.Table], model: str) -> str:
    """Gives the text of README.md: YAML that the hub reads, then prose that people read.

    `books` holds the tables ``documents``, ``chunks`` and ``curated_tasks`` of the corpus; `model`
    is the label of the generating model.
    """
    header = {
        "pretty_name": f"{corpus.name}: instructions made by Bonito",
        "task_categories": ["text-generation"],
        "tags": ["bonito", "synthetic", "instruction-tuning"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}.parquet"} for split in release.splits
                ],
            }
        ],
    }
    if corpus.license:
        header["license"] = corpus.license
    return "\n".join(
        [
            "---",
            yaml.safe_dump(header, sort_keys=False, allow_unicode=True).strip(),
            "---",
            "",
            f"# {corpus.name}",
            "",
            corpus.description or "No description was given.",
            "",
            f"Release `{release.version}`. Instructions and answers written by `{model}` about the "
            "passages of this corpus, read, checked and deduplicated by Bonito Assets. No person "
            "has labelled or read them.",
            "",
            "## Counts",
            "",
            _funnel(release, books),
            "",
            *_licenses(books["documents"]),
            "## Rows by task type",
            "",
            _by_task_type(release, corpus),
            "",
            "## What became of each generation",
            "",
            verdict_table(tables.verdicts(books["curated_tasks"])),
            "",
            "## Columns",
            "",
            "`input` is the instruction with its passage, `output` the answer, `messages` the same "
            "pair in chat form, `task_type` what was asked of the model. `doc_id`, `chunk_id`, "
            "`start_char` and `end_char` say which stretch of which document the passage is; "
            "`generation_id` names the output it was read from. The splits share no document.",
            "",
            "## Limits and risks",
            "",
            "The rows are synthetic: answers can be wrong, unsupported by the passage, or biased "
            "as the generating model is. A model tuned on little text can become worse than it "
            "was. Bonito has had no safety training. Evidence that such data helps covers yes-no "
            "questions, extractive questions and natural language inference in English.",
            "",
        ]
    )


def _funnel(release: Release, books: Mapping[str, pa.Table]) -> str:
    steps = [
        {
            "step": name,
            "rows": f"{books[name].num_rows:,}",
            "accepted": f"{_accepted(books[name]):,}",
        }
        for name in ("documents", "chunks", "curated_tasks")
    ]
    for split, rows in release.splits.items():
        steps.append(
            {"step": split, "rows": f"{rows.num_rows:,}", "accepted": f"{rows.num_rows:,}"}
        )
    return markdown_table(steps)


def _licenses(documents: pa.Table) -> list[str]:
    """Gives the section on what the documents themselves state, if any of them does."""
    stated = documents["license"].drop_null().value_counts().to_pylist()
    if not stated:
        return []
    rows = [
        {"licence": entry["values"], "documents": f"{entry['counts']:,}"}
        for entry in sorted(stated, key=lambda entry: (-entry["counts"], entry["values"]))
    ]
    return ["## Licences that documents state", "", markdown_table(rows), ""]


def _accepted(table: pa.Table) -> int:
    return table["rejected_because"].null_count


def _by_task_type(release: Release, corpus: Corpus) -> str:
    counts: dict[str, int] = {}
    for rows in release.splits.values():
        for entry in rows["task_type"].value_counts().to_pylist():
            counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
    return markdown_table(
        [
            {"task type": name, "meaning": corpus.full_name(name), "rows": f"{n:,}"}
            for name, n in sorted(counts.items(), key=lambda item: -item[1])
        ]
    )
