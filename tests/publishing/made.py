"""Tables of a small corpus of letters, as the stages before publishing would have left them."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import yaml

from bonito_assets import tables
from bonito_assets.catalogue import load
from bonito_assets.identity import digest
from bonito_assets.publishing.books import stage_books
from bonito_assets.publishing.publish import DATASET, publish

CORPUS = "letters"
MODEL = "writer@0123"


def letters(n, kept=2, refused=1):
    """Gives rows by document: `kept` accepted ones and `refused` ones of each."""
    return {
        f"{number}.txt": [
            row(f"Did ship {number} sail {i}?", rejected_because=None if i < kept else "truncated")
            for i in range(kept + refused)
        ]
        for number in range(n)
    }


def row(question, answer="Yes", task_type="ynqa", **columns):
    return {"question": question, "output": answer, "task_type": task_type, **columns}


def put(
    store,
    content,
    corpus=CORPUS,
    written=datetime(2026, 1, 1, tzinfo=UTC),
    model=MODEL,
    text="Letter {} tells of the harbour.",
):
    """Writes the five tables of `corpus`: rows by document, which is one passage: its name."""
    documents, chunks, rows = [], [], []
    for name, of_it in content.items():
        passage = text.format(name)
        doc_id = digest(corpus, name)
        chunk_id = digest(doc_id, passage)
        documents.append({"corpus": corpus, "doc_id": doc_id, "uri": name, "text": passage,
                          "media_type": "text/plain", "n_chars": len(passage)})  # fmt: skip
        chunks.append({"corpus": corpus, "chunk_id": chunk_id, "doc_id": doc_id, "uri": name,
                       "position": 0, "start_char": 0, "end_char": len(passage), "text": passage,
                       "n_tokens": 9, "units": ["paragraph"]})  # fmt: skip
        for entry in of_it:
            key = digest(entry["question"], entry["task_type"], model)
            rows.append({
                "mean_logprob": -0.5, **entry, "corpus": corpus, "doc_id": doc_id, "sample": 0,
                "chunk_id": chunk_id, "generation_id": digest(chunk_id, key), "request_key": key,
                "input": f"{passage}\n{entry['question']}", "model": model, "created_at": written,
                "label": entry["output"].lower(), "input_chars": 40, "output_chars": 3,
            })  # fmt: skip
    asked = [
        {**r, "output": f"{r['question']} <|pipe|> {r['output']}", "rejected_because": None}
        for r in rows
    ]
    read = [
        {**r, "rejected_because": r.get("rejected_because") if _by_parser(r) else None}
        for r in rows
    ]
    made = {"documents": documents, "chunks": chunks, "generations": asked, "tasks": read,
            "curated_tasks": rows}  # fmt: skip
    for table, entries in made.items():
        names = tables.SCHEMAS[table].names
        kept = [{name: entry.get(name) for name in names} for entry in entries]
        store.write(table, corpus, tables.build(table, kept))


def _by_parser(entry):
    return entry.get("rejected_because") == "truncated"


def pay(store, tokens, seconds, money=0.0, corpus=CORPUS):
    """Adds a bill to those of `corpus`."""
    bill = {"corpus": corpus, "run_id": "r", "created_at": datetime(2026, 1, 1, tzinfo=UTC),
            "model": MODEL, "generated": 1, "prompt_tokens": tokens, "output_tokens": tokens,
            "gpu_seconds": seconds, "start_gpu_seconds": 0.0, "money": money}  # fmt: skip
    bills = pa.Table.from_pylist([bill], tables.GENERATION_BILLS)
    if store.exists("generation_bills", corpus):
        bills = pa.concat_tables([store.read("generation_bills", corpus), bills])
    store.write("generation_bills", corpus, bills)


def catalogue_file(folder, corpus=CORPUS, **settings):
    """Writes and loads the catalogue file of `corpus`."""
    content = {"source": {"files": "letters/*.txt"}, "task_types": ["ynqa"],
               "license": "cc0-1.0", **settings}  # fmt: skip
    path = folder / f"{corpus}.yaml"
    path.write_text(yaml.safe_dump(content))
    return load(path)


def release(store, corpus):
    """Publishes what the tables of `corpus` hold; gives the release and its folder."""
    previous = store.published(DATASET, corpus.name)
    with store.new_folder(DATASET, corpus.name) as folder:
        made = publish(store, corpus, stage_books(store, corpus.name), folder, previous)
    return made, store.folder(DATASET, corpus.name)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))
