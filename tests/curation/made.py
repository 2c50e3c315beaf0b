"""Small corpora whose rows have reached `tasks`, put into a store."""

from collections import Counter

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.identity import digest
from resources.store import Store

RENT = (
    "The tenant pays the rent on the first day of each month in advance, and hands over the keys "
    "when the lease has come to its end in the autumn of the third year after it was signed."
)
HARBOUR = (
    "The harbour of the town was dredged twice by the council, which sold the mud to a brickyard "
    "on the other bank and paid the crew of the dredger out of what it had earned by that."
)


def corpus(folder="/", name="c", evaluation=None, **curation):
    return Corpus(
        name=name,
        folder=folder,
        source={"files": "x"},
        task_types=["exqa", "ynqa"],
        evaluation=evaluation,
        curation=curation,
    )


def row(question, answer, passage=RENT, **changes):
    """Gives what a row is made of: question, answer, passage, and what is changed."""
    given = {"task_type": "exqa", "label": None, "rejected_because": None, "mean_logprob": -1.0}
    return {"question": question, "answer": answer, "passage": passage, "document": "d",
            **given, **changes}  # fmt: skip


def put(store: Store, rows, name="c"):
    """Writes `chunks`, `generations` and `tasks` of these rows; gives their generation_ids."""
    chunks, made, read, seen = {}, [], [], Counter()
    for r in rows:
        chunk_id = digest(r["document"], r["passage"])
        chunks[chunk_id] = {
            "corpus": name, "chunk_id": chunk_id, "doc_id": r["document"], "position": 0,
            "start_char": 0, "end_char": len(r["passage"]), "text": r["passage"], "n_tokens": 0,
            "units": ["paragraph"],
        }  # fmt: skip
        sample = seen[chunk_id, r["question"]]
        seen[chunk_id, r["question"]] += 1
        generation_id = digest(chunk_id, r["question"], sample)
        made.append(
            {"corpus": name, "generation_id": generation_id, "request_key": "r",
             "chunk_id": chunk_id, "task_type": r["task_type"], "sample": sample,
             "mean_logprob": r["mean_logprob"]}
        )  # fmt: skip
        is_read = r["question"] is not None
        read.append(
            {"corpus": name, "generation_id": generation_id, "chunk_id": chunk_id,
             "doc_id": r["document"], "task_type": r["task_type"],
             "input": f"{r['passage']}\n\n{r['question']}" if is_read else None,
             "output": r["answer"], "label": r["label"],
             "rejected_because": r["rejected_because"]}
        )  # fmt: skip
    store.write("chunks", name, tables.build("chunks", list(chunks.values())))
    store.write("generations", name, tables.build("generations", made))
    store.write("tasks", name, tables.build("tasks", read))
    return [g["generation_id"] for g in made]
