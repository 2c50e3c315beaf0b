"""The schema of every table, and the published list of verdicts.

Each stage reads one table and writes the next with as many rows as the books require; a row
that a stage refuses keeps its place and gets a code in ``rejected_because`` (null = accepted).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

# Every code that may stand in `rejected_because`, with the sentence a person reads.
REJECTIONS: dict[str, str] = {
    "unreadable": "the item could not be read or decoded",
    "unsupported_format": "the file type is not one that can be read",
    "encrypted": "it can only be opened with a password",
    "empty": "there is no text in it",
    "too_large": "it is larger than a limit of the corpus",
    "timed_out": "reading it took longer than the corpus allows",
    "unsafe_archive": "it is an archive that would swell beyond all measure, or holds another",
    "outside_source": "it is a link or a path that leaves the source",
    "changed_while_read": "somebody wrote to it while it was read, again and again",
    "forgotten": "a person asked to forget the document, and with it all that came from it",
    "exact_duplicate_document": "another document of the corpus has exactly this text",
    "too_short": "the passage holds too little text for a task",
    "boilerplate": "a table of contents, navigation, a licence header or the like",
    "not_natural_language": "code, numbers, a table of values or garbled text",
    "wrong_language": "the passage is not in a language of the corpus",
    "personal_data": "it holds personal data or a secret, which the corpus does not allow",
    "invalid_text": "the prompt holds characters that the model's tokenizer cannot represent",
    "too_long": "prompt and answer do not fit into the model's window",
    "engine_error": "the engine could not answer this prompt, and went on without it",
    "over_budget": "not generated: the refresh had reached its budget",
    "no_pipe": "the output has no <|pipe|> between instruction and answer",
    "two_pipes": "the output has more than one <|pipe|>",
    "truncated": "the output hit the token limit before its end",
    "empty_output": "the instruction or the answer is empty",
    "template_residue": "marks of a prompt, a template or a corpus are left in it",
    "placeholder_missing": "the passage has no place in it: {{context}} is not there",
    "placeholder_doubled": "{{context}} stands in it more than once",
    "placeholder_misplaced": "{{context}} stands in the answer and not in the instruction",
    "passage_copied": "the passage is written out where {{context}} belongs",
    "foreign_frame": "it takes the passage for what it is not, such as a review, a film or an app",
    "repetitive": "the answer says the same words over and over",
    "question_missing": "the instruction asks nothing",
    "answer_not_in_passage": "the answer, or the answer asked about, is no stretch of the passage",
    "answer_in_question": "the answer only repeats the question, or the question gives it away",
    "answer_too_long": "the answer is longer than its task type allows",
    "answer_too_short": "the answer is too short for a sentence",
    "answer_of_other_type": "the answer is a label or letter, which its task type does not give",
    "answer_not_passage": "the answer should be the passage and nothing else",
    "options_missing": "the instruction shows no options",
    "options_unusable": "there are fewer than two options, or one is empty or stands twice",
    "option_unknown": "the answer is not one of the options",
    "not_a_question": "the answer should be a question",
    "block_malformed": "the block of question, options and answer is not whole",
    "unsupported": "nothing of it, or next to nothing, is in the passage",
    "label_unknown": "the answer is not a label that the instruction or the task type allows",
    "claim_missing": "there is no claim or second sentence",
    "claim_copied": "the claim or second sentence is the passage itself",
    "word_missing": "the instruction does not name the words that it is about",
    "word_absent": "a word that it is about is missing where it should stand",
    "no_opinion": "the passage holds no opinion",
    "copied": "the answer is copied from the passage",
    "unrelated": "the answer is about something else",
    "not_shorter": "the summary is not shorter than the passage",
    "number_not_in_passage": "a number is not in the passage",
    "name_not_in_passage": "a name is not in the passage",
    "contaminated": "it shares a stretch of words with a test set",
    "low_quality": "a score of it is outside the thresholds of the corpus",
    "not_confirmed": "another model answered otherwise from the passage alone",
    "exact_duplicate": "another row of the corpus has the same instruction and answer",
    "near_duplicate": "another row asks the same of a passage that is nearly this one",
    "semantic_duplicate": "another row says the same in other words",
    "over_represented": "its label, document, passage or template has enough better rows",
}

# Format markers of Bonito. `{{context}}` stands in an output for the passage itself.
CONTEXT_SLOT = "{{context}}"
PIPE = "<|pipe|>"


def _column(name: str, type_: pa.DataType, meaning: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, type_, nullable=nullable, metadata={"meaning": meaning})


_CORPUS = _column("corpus", pa.string(), "name of the corpus, its partition key", nullable=False)
_VERDICT = _column(
    "rejected_because", pa.string(), "code of the first reason against the row; null = accepted"
)

_HEADINGS = pa.list_(pa.struct([("start_char", pa.int64()), ("level", pa.int64())]))

DOCUMENTS = pa.schema(
    [
        _CORPUS,
        _column(
            "doc_id",
            pa.string(),
            "digest of corpus and the source's own id or uri; survives an edit",
            False,
        ),
        _column(
            "uri", pa.string(), "where the item was read, with #row for a row of a file", False
        ),
        _column("title", pa.string(), "title as the source gives it"),
        _column(
            "text", pa.string(), "the text that offsets point into; null when it could not be read"
        ),
        _column("media_type", pa.string(), "format of the source item, as a MIME type"),
        _column("n_chars", pa.int64(), "length of text in Unicode code points"),
        _column("headings", _HEADINGS, "where the headings stand in text, and how deep"),
        _column("license", pa.string(), "licence of this document where the source states one"),
        _column("content_sha256", pa.string(), "digest of the bytes the item was read from"),
        _column("text_digest", pa.string(), "digest of text: documents with one text share it"),
        _column("error", pa.string(), "what went wrong, in a sentence"),
        _column("warning", pa.string(), "what was lost or replaced while it was read"),
        _VERDICT,
    ]
)

CHUNKS = pa.schema(
    [
        _CORPUS,
        _column("chunk_id", pa.string(), "digest of document, offsets and text", False),
        _column("doc_id", pa.string(), "the document it was cut from", False),
        _column("uri", pa.string(), "where that document was read"),
        _column("position", pa.int64(), "number of the passage in its document, from 0", False),
        _column(
            "start_char", pa.int64(), "offset of the first code point in documents.text", False
        ),
        _column(
            "end_char", pa.int64(), "offset after the last code point in documents.text", False
        ),
        _column("text", pa.string(), "the passage: documents.text[start_char:end_char]", False),
        _column("n_tokens", pa.int64(), "tokens of the Bonito model that it adds to a prompt"),
        _column(
            "units",
            pa.list_(pa.string()),
            "what it serves as: 'paragraph' for most task types, 'sentence' for some; can be both",
            False,
        ),
        _column("heading_path", pa.list_(pa.string()), "the headings over it, outermost first"),
        _VERDICT,
    ]
)

GENERATIONS = pa.schema(
    [
        _CORPUS,
        _column("generation_id", pa.string(), "digest of chunk_id and request_key", False),
        _column(
            "request_key",
            pa.string(),
            "digest of prompt, model, sampling and sample number; the cache address",
            False,
        ),
        _column("chunk_id", pa.string(), "the passage it was generated from", False),
        _column("task_type", pa.string(), "short name of the task type asked for", False),
        _column("sample", pa.int64(), "number of the sample, from 0", False),
        _column(
            "output", pa.string(), "what the model wrote, untouched; null when it was not asked"
        ),
        _column("finish_reason", pa.string(), "stop, or length when the token limit was hit"),
        _column("prompt_tokens", pa.int64(), "length of the prompt in tokens"),
        _column("output_tokens", pa.int64(), "length of the output in tokens"),
        _column("mean_logprob", pa.float64(), "mean natural log-probability of the output tokens"),
        _column("model", pa.string(), "name and fingerprint of the model that wrote it"),
        _column("model_fingerprint", pa.string(), "the whole fingerprint, as in request_key"),
        _column("sampling", pa.string(), "parameters of sampling as in request_key, as JSON"),
        _column(
            "task_name",
            pa.string(),
            "what the prompt calls the task: its full name, or a custom type's instruction",
        ),
        _column("run_id", pa.string(), "the Dagster run that paid for the output, where known"),
        _column("created_at", pa.timestamp("us", tz="UTC"), "when the output was written"),
        _VERDICT,
    ]
)

_TASK_COLUMNS = [
    _CORPUS,
    _column("generation_id", pa.string(), "the generation it was read from", False),
    _column("chunk_id", pa.string(), "the passage", False),
    _column("doc_id", pa.string(), "the document", False),
    _column("task_type", pa.string(), "short name of the task type", False),
    _column("input", pa.string(), "the instruction with the passage in its place"),
    _column("output", pa.string(), "the answer"),
    _column(
        "label",
        pa.string(),
        "what the answer means, in one word per meaning: entailment, yes, positive, A; null = none",
    ),
]

TASKS = pa.schema([*_TASK_COLUMNS, _VERDICT])

CURATED_TASKS = pa.schema(
    [
        *_TASK_COLUMNS,
        _column(
            "mean_logprob",
            pa.float64(),
            "mean log-probability of the generation, the default quality score",
        ),
        _column("input_chars", pa.int64(), "length of the instruction in code points"),
        _column("output_chars", pa.int64(), "length of the answer in code points"),
        _column("passage_chars", pa.int64(), "length of the passage in code points"),
        _column(
            "lexical_overlap",
            pa.float64(),
            "share of the answer's words that stand in the passage; null where it is a label",
        ),
        _column(
            "extractive_coverage",
            pa.float64(),
            "share of the answer's words in stretches copied from the passage; null likewise",
        ),
        _column(
            "extractive_density",
            pa.float64(),
            "mean length in words of the copied stretch that an answer's word is in; null likewise",
        ),
        _column(
            "repetition", pa.float64(), "share of the answer's word 3-grams that stood in it before"
        ),
        _column(
            "round_trip", pa.float64(), "F1 of the answer and another model's; null = not asked"
        ),
        _column(
            "template", pa.string(), "digest of how the instruction is worded around its subject"
        ),
        _column(
            "transductive", pa.bool_(), "whether the passage is also one of the corpus's test set"
        ),
        _column("contaminated_by", pa.string(), "test set and question that it overlaps with"),
        _column("duplicate_of", pa.string(), "generation_id of the row kept in its place"),
        _VERDICT,
    ]
)

# The scores of a row that a corpus may set thresholds for, and those of them that are worked out of
# its own text.
SCORES = tuple(f.name for f in CURATED_TASKS if f.type in (pa.int64(), pa.float64()))
TEXT_SCORES = tuple(name for name in SCORES if name not in ("mean_logprob", "round_trip"))

# What was found at the source, file by file, and how much of it there was: by this a refresh knows
# what it need not read again. Its rows stand in the order of `documents`. It is no stage.
SOURCE_FILES = pa.schema(
    [
        _CORPUS,
        _column("uri", pa.string(), "where the file was found", False),
        _column("size", pa.int64(), "length in bytes; null where it was not read"),
        _column("token", pa.string(), "what an object store says of the content, as an ETag"),
        _column("content_sha256", pa.string(), "digest of the bytes; null where they were not had"),
        _column("reader", pa.string(), "digest of the settings and libraries it was read with"),
        _column("documents", pa.int64(), "rows of documents that it gave", False),
        _column("left_out", pa.int64(), "rows that the catalogue's 'where' left out", False),
    ]
)

# What curation remembers of the rows and passages that it has looked at, so that a change of a
# threshold costs no reading. Their rows stand in the order of `tasks`, those of `curation_passages`
# in the order of `chunks`. They are no stages.
_KEY = "64-bit digest of what the row was worked out from: an equal one need not be worked out anew"
CURATION_FEATURES = pa.schema(
    [
        _CORPUS,
        _column("row_key", pa.uint64(), _KEY, False),
        *(CURATED_TASKS.field(name) for name in TEXT_SCORES),
        CURATED_TASKS.field("template"),
        _column("instruction_key", pa.uint64(), "digest of instruction and answer, passage apart"),
        _column("task_key", pa.uint64(), "digest of what is asked and answered"),
        _column("holds_passage", pa.bool_(), "whether the passage was found in the row", False),
    ]
)
CURATION_PASSAGES = pa.schema(
    [
        _CORPUS,
        _column("row_key", pa.uint64(), _KEY, False),
        _column("passage_key", pa.uint64(), "digest of the text, case and blanks aside", False),
        _column("bands", pa.list_(pa.uint64(), 25), "MinHash keys of the text, band by band"),
    ]
)
CURATION_OVERLAPS = pa.schema(
    [
        _CORPUS,
        _column("row_key", pa.uint64(), _KEY, False),
        CURATED_TASKS.field("contaminated_by"),
        CURATED_TASKS.field("transductive"),
    ]
)
CURATION_FAMILIES = pa.schema(
    [
        _CORPUS,
        _column("exact", pa.int64(), "number of the first row that is equal", False),
        _column("near", pa.int64(), "number of the first row of its near-duplicates", False),
        _column("semantic", pa.int64(), "number of the first row that says the same", False),
    ]
)

# What another model answered, a row per row of `tasks` in their order; without rows where the
# corpus does not ask. It has no verdicts: those are of `curated_tasks`.
ROUND_TRIPS = pa.schema(
    [
        _CORPUS,
        _column("generation_id", pa.string(), "the row whose instruction it is", False),
        _column("chunk_id", pa.string(), "the passage", False),
        _column("request_key", pa.string(), "the cache address; null = not asked"),
        _column("answer", pa.string(), "first line of what the other model answered"),
        _column("agreement", pa.float64(), "F1 of both answers; of labels 1 if equal, else 0"),
    ]
)

# What each refresh cost. It holds no rows of text, so it is no stage and has no verdicts.
GENERATION_BILLS = pa.schema(
    [
        _CORPUS,
        _column("run_id", pa.string(), "the Dagster run", False),
        _column("created_at", pa.timestamp("us", tz="UTC"), "when the generation ended", False),
        _column("model", pa.string(), "name and fingerprint of the model", False),
        _column("generated", pa.int64(), "requests that the model answered", False),
        _column("prompt_tokens", pa.int64(), "tokens read by the model", False),
        _column("output_tokens", pa.int64(), "tokens written by the model", False),
        _column("gpu_seconds", pa.float64(), "seconds times accelerators, start included", False),
        _column("start_gpu_seconds", pa.float64(), "of these, until the first result", False),
        _column("money", pa.float64(), "gpu_seconds at the price per hour; 0 without one", False),
    ]
)

# In the order in which data flows.
SCHEMAS: Mapping[str, pa.Schema] = {
    "documents": DOCUMENTS,
    "chunks": CHUNKS,
    "generations": GENERATIONS,
    "tasks": TASKS,
    "curated_tasks": CURATED_TASKS,
}


def build(table: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Gives `rows` as an Arrow table of the schema of `table`.

    Raises ``ValueError`` for a verdict outside the published list or a null where none may be.
    """
    return check(table, pa.Table.from_pylist(list(rows), schema=SCHEMAS[table]))


def check(table: str, data: pa.Table) -> pa.Table:
    """Gives `data` cast to the schema of `table`, or raises ``ValueError`` saying what is wrong."""
    schema = SCHEMAS[table]
    missing = [name for name in schema.names if name not in data.column_names]
    if missing:
        raise ValueError(f"table {table}: columns missing: {', '.join(missing)}")
    data = data.select(schema.names).cast(schema)
    for field in schema:
        if not field.nullable and data[field.name].null_count:
            raise ValueError(f"table {table}: column {field.name} holds nulls")
    unknown = set(data["rejected_because"].unique().to_pylist()) - {None} - set(REJECTIONS)
    if unknown:
        raise ValueError(
            f"table {table}: verdicts outside the published list: {', '.join(sorted(unknown))}"
        )
    return data


def meanings(table: str) -> dict[str, str]:
    """Gives the one-line meaning of each column of `table`, by column name."""
    return {f.name: f.metadata[b"meaning"].decode() for f in SCHEMAS[table]}


def verdicts(data: pa.Table) -> dict[str, int]:
    """Gives the rows per verdict, most frequent first; accepted rows under ``accepted``."""
    counts: dict[str, int] = {}
    for entry in data["rejected_because"].value_counts().to_pylist():
        counts[entry["values"] or "accepted"] = entry["counts"]
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
