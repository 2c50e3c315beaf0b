"""How much planted contamination is found, how much clean text is taken for it, and at what cost.

Test sets and rows are invented here. Clean rows are of the same domain as the test set: the same
wordings, statutes, goods and years about other places and people.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pyarrow as pa

from benchmarks.cache import alone, peak
from bonito_assets.curation.contamination import TestSets
from bonito_assets.curation.contamination.index import RUN
from bonito_assets.curation.contamination.reading import Item, Source

_SYLLABLES = "an bel cor dun el far gar hol im jor kel lor mar nor ost pel quin ros sar tor".split()
_GOODS = (
    "salt timber copper wool glass grain paper slate amber cloth leather wine iron tea silk coal "
    "bricks pottery honey rope furs spices tiles oil flax cider lead marble sugar cotton"
).split()
# What may be told of a place: the statement and the question in two wordings each, and the answer.
_FACTS = (
    ("The harbour of {place} was built by {person} in {year} to ship {goods} across the bay.",
     "In {year} {person} had a port made at {place}, from where {goods} crossed the bay.",
     "When was the harbour of {place} built?", "In which year did {place} get its port?", "{year}"),
    ("{person} was elected mayor of {place} after the {goods} strike of {year} had ended.",
     "Once the {year} walkout over {goods} was over, voters in {place} made {person} their head.",
     "Who became mayor of {place} after the {goods} strike?",
     "Which politician did {place} choose once workers in the {goods} trade had gone back?",
     "{person}"),
    ("According to the survey of {year}, more than {count} people in {place} lived by trade in "
     "{goods}.",
     "A census taken in {year} put those whose living came from {goods} in {place} above {count}.",
     "According to the survey of {year}, how many people in {place} lived by the trade in {goods}?",
     "What number of inhabitants did the {year} census of {place} count as {goods} traders?",
     "more than {count}"),
    ("The museum at {place} shows {goods} that {person} brought from the expedition of {year}.",
     "On view in {place} is the {goods} which {person}, on a voyage in {year}, collected.",
     "What does the museum at {place} show of the expedition that {person} led in {year}?",
     "Which souvenirs of a voyage in {year} by {person} can be seen in {place}?", "{goods}"),
    ("In {year} a fire destroyed the {goods} market of {place}, and {count} families lost it all.",
     "The hall where {place} sold {goods} burnt down in {year}; it ruined {count} households.",
     "What was destroyed in the fire at {place}?", "What burnt down in {place}?",
     "the {goods} market"),
    ("{person} of {place} wrote the first treatise on {goods}, which was printed in {year}.",
     "The earliest book about {goods} came out in {year} and is by {person}, who lived in {place}.",
     "Was the first treatise on {goods} written by {person} of {place}?",
     "Is {person}, who lived in {place}, the author of the earliest book about {goods}?", "yes"),
)  # fmt: skip
_STOCK = ("What is the main idea of the passage?", "When was it built?", "Who was the mayor then?",
          "What is the name of the town?", "How many people lived there?")  # fmt: skip


def name(rng: random.Random) -> str:
    return "".join(rng.choices(_SYLLABLES, k=4)).capitalize()


def statute(number: int) -> str:
    """Gives a paragraph of thirty words that many documents of the domain quote."""
    rng = random.Random(f"statute {number}")
    one, two, three = rng.sample(_GOODS, 3)
    return (
        f"Whoever brings {one} or {two} into the town without paying the duty of section {number} "
        f"shall forfeit the {three} and be liable to a fine of {rng.randrange(9, 99)} marks to be "
        "paid within a month."
    )


class Document(NamedTuple):
    """A passage, the same in other words, and what may be asked of it."""

    text: str
    retold: str
    questions: list[tuple[str, str, str]]


def document(seed: str) -> Document:
    """Gives a document about a place of its own, with questions, paraphrases and answers."""
    rng = random.Random(seed)
    place = f"{name(rng)} {name(rng)}"
    told, retold, questions = [], [], []
    for fact in rng.sample(_FACTS, len(_FACTS)):
        filling = {"place": place, "person": f"{name(rng)} {name(rng)}",
                   "goods": rng.choice(_GOODS), "year": rng.randrange(1500, 1950),
                   "count": rng.randrange(2, 99) * 100}  # fmt: skip
        one, other, question, asked, answer = (part.format(**filling) for part in fact)
        told.append(one)
        retold.append(other)
        questions.append((question, asked, answer))
    if rng.random() < 0.3:
        told.insert(rng.randrange(len(told)), statute(rng.randrange(40)))
    questions.append((rng.choice(_STOCK), rng.choice(_STOCK), rng.choice(questions)[2]))
    return Document(" ".join(told), " ".join(retold), questions)


def documents(kind: str, count: int) -> Iterator[Document]:
    return (document(f"{kind} {number}") for number in range(count))


def test_items(count: int) -> list[Item]:
    """Gives a test set of `count` contexts, seven questions on each."""
    return [
        Item(f"{number}-{at}", question, made.text, (answer,))
        for number, made in enumerate(documents("test", count))
        for at, (question, _, answer) in enumerate(made.questions)
    ]


def in_lines(text: str) -> str:
    words = text.split()
    return "\n".join(" ".join(words[start : start + 8]) for start in range(0, len(words), 8))


def embedded(text: str) -> str:
    """Gives `text` in the middle of ten times as many words of other documents."""
    rng = random.Random(text)
    size = 5 * len(text.split())
    filler: list[str] = []
    while len(filler) < 2 * size:
        filler += document(f"filler {rng.random()}").text.split()
    return " ".join([*filler[:size], text, *filler[size : 2 * size]])


DISGUISES: dict[str, Callable[[str], str]] = {
    "verbatim": str,
    "case and punctuation changed": lambda text: re.sub(r"[.,?;]", " -- ", text).upper(),
    "rewrapped to lines of 8 words": in_lines,
    "in ten times filler": embedded,
}
Row = tuple[str, str, str]
Flags = Callable[[list[Row]], list[bool]]


def batch(rows: list[Row]) -> pa.RecordBatch:
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return pa.record_batch(columns, ["input", "output", "passage"])


def ours(items: list[Item]) -> Flags:
    sets = TestSets([Source("test", False, items, "")])
    return lambda rows: sets.overlaps(batch(rows)).contaminated_by.is_valid().to_pylist()


def any_run(items: list[Item]) -> Flags:
    """Gives the rule of one run of thirteen words, whatever it is of, and nothing for shorter ones.

    Words are read as this project reads them, so that the rule alone makes the difference.
    """

    def runs(text: str) -> Iterator[tuple[str, ...]]:
        words = re.findall(r"\w+", text.lower())
        return zip(*(words[start:] for start in range(RUN)), strict=False)

    known = {run for item in items for text in (item.question, item.context) for run in runs(text)}
    return lambda rows: [any(run in known for text in row for run in runs(text)) for row in rows]


def clean_rows(count: int) -> list[Row]:
    rows = []
    for made in documents("clean", count):
        rows += [(f"{made.text}\n\n{q}", answer, made.text) for q, _, answer in made.questions]
    return rows


def planted(
    made: list[Document], aside: list[Document], plant: Callable[[str], str]
) -> dict[str, list[Row]]:
    """Gives rows with contamination: an entry for each part of the test set and place of a row."""
    found: dict[str, list[Row]] = {"contexts, in the passage": []}
    for one, other in zip(made, aside, strict=True):
        passage = plant(one.text)
        found["contexts, in the passage"].append((f"{passage}\n\nWhy?", "So.", passage))
        for question, _, answer in one.questions:
            size = len(question.split())
            kind = "questions of 13 words or more" if size >= RUN else "shorter questions"
            kind = "stock questions" if question in _STOCK else kind
            text = plant(question)
            asked = (f"{other.text}\n\n{text}", "It is told.", other.text)
            right = (f"{other.text}\n\n{text}", answer, other.text)
            found.setdefault(f"{kind}, with another answer", []).append(asked)
            found.setdefault(f"{kind}, with the answer", []).append(right)
            if kind != "stock questions":
                generated = (f"{other.text}\n\nAsk something.", text, other.text)
                found.setdefault(f"{kind}, as the output", []).append(generated)
    return found


def share(flags: list[bool]) -> str:
    return f"{sum(flags) / len(flags):.3f}"


def speed(sets: TestSets, rows: int, rounds: int) -> float:
    """Gives rows per CPU second; rows are of 1.7 kB, sixteen for each passage."""
    made = []
    for number in range(rows // 16):
        text = " ".join(document(f"speed {number} {part}").text for part in range(3))[:1600]
        made += [
            (f"{text}\n\nWhat is told of it in part {n}?", "that it was", text) for n in range(16)
        ]
    whole = batch(made)
    batches = [whole.slice(start, 4096) for start in range(0, len(whole), 4096)]
    times = []
    for _ in range(rounds):
        start = time.process_time()
        for some in batches:
            sets.overlaps(some)
        times.append(time.process_time() - start)
    return rows / statistics.median(times)


def memory(contexts: int, batches: int) -> int:
    """Gives the peak of a process that looks through `batches` of 4,096 rows, in bytes."""
    sets = TestSets([Source("test", False, test_items(contexts), "")]) if contexts else None
    rows = clean_rows(600)[:4096]
    for _ in range(batches):
        some = batch(rows)
        if sets:
            sets.overlaps(some)
    return peak()


def measure(contexts: int = 1000, clean: int = 15_000, rounds: int = 3) -> str:
    """Gives the section of RESULTS.md."""
    peaks = [alone(memory, *size) for size in ((0, 1), (contexts, 1), (contexts, 50))]
    load = os.getloadavg()[0]
    items = test_items(contexts)
    start = time.process_time()
    sets = TestSets([Source("test", False, items, "")])
    building = time.process_time() - start
    arms = {"this project": ours(items), "any 13-gram": any_run(items)}
    made, aside = list(documents("test", contexts)), list(documents("aside", contexts))
    found = {
        disguise: {kind: share(arms["this project"](rows)) for kind, rows in plants.items()}
        for disguise, plant in DISGUISES.items()
        if (plants := planted(made, aside, plant))
    }
    plain = {
        kind: share(arms["any 13-gram"](rows[:1000]))
        for kind, rows in planted(made, aside, str).items()
    }
    kinds = sorted(plain, key=lambda kind: ("context" not in kind, kind))
    rows = clean_rows(clean)
    wrong = {
        "this project": sum(arms["this project"](rows)) / len(rows),
        "any 13-gram": sum(arms["any 13-gram"](rows[:7000])) / 7000,
    }
    paraphrased = {
        "contexts": [("Tell me.", "So.", one.retold) for one in made],
        "questions": [
            (f"{other.text}\n\n{asked}", answer, other.text)
            for one, other in zip(made, aside, strict=True)
            for _, asked, answer in one.questions[:-1]
        ],
    }
    own = TestSets([Source("test", True, items, "")])
    on_context = {
        asked: share(own.overlaps(batch(rows)).contaminated_by.is_valid().to_pylist())
        for asked, rows in {
            "test questions": [(f"{i.context}\n\n{i.question}", "So.", i.context) for i in items],
            "other questions": [
                (f"{one.text}\n\n{other.questions[0][0]}", "So.", one.text)
                for one, other in zip(made, aside, strict=True)
            ],
        }.items()
    }
    lines = [
        "## Contamination: what is shared with a test set",
        "",
        f"`python -m benchmarks.contamination --contexts {contexts} --clean {clean}`: a test set "
        f"of {contexts:,} contexts and {len(items):,} questions, all planted in rows; "
        f"load {load:.1f}. Beside it the rule of one 13-gram of any test text, verbatim only, over "
        "the same words. Share of rows found:",
        "",
        f"| planted | {' | '.join(DISGUISES)} | any 13-gram |",
        f"| --- |{' ---: |' * (len(DISGUISES) + 1)}",
    ]
    for kind in kinds:
        shares = " | ".join(found[disguise][kind] for disguise in DISGUISES)
        lines.append(f"| {kind} | {shares} | {plain[kind]} |")
    lines += [
        "",
        "A question asked of more than ten contexts is a stock question: it counts on its own "
        "context only. Refused of rows on contexts of the corpus's own test set: "
        + ", ".join(f"{found_} with {asked}" for asked, found_ in on_context.items())
        + ".",
        "",
        f"Clean rows of the same domain ({len(rows):,}; three in ten quote one of forty statutes, "
        "as three in ten test contexts do) taken for contaminated: "
        + ", ".join(f"{share_:.3%} by {arm}" for arm, share_ in wrong.items())
        + ".",
        "",
        "Paraphrased, every sentence in other words (no rule of shared words can find these): "
        + ", ".join(f"{share(arms['this project'](r))} of {k}" for k, r in paraphrased.items())
        + ".",
        "",
        f"{speed(sets, 65_536, rounds):,.0f} rows of 1.7 kB per CPU second, sixteen to a passage; "
        f"{building:.1f} CPU seconds to read and index the set. Peak memory of a process: "
        f"{peaks[0] / 1e6:,.0f} MB without a set, {peaks[1] / 1e6:,.0f} MB with it and 4,096 rows, "
        f"{peaks[2] / 1e6:,.0f} MB with it and 204,800 rows.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contexts", type=int, default=1000, help="of the test set")
    parser.add_argument("--clean", type=int, default=15_000, help="clean passages, 7 rows of each")
    options = parser.parse_args()
    print(measure(options.contexts, options.clean))


if __name__ == "__main__":
    main()
