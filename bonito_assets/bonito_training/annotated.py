"""Pairs from annotated data sets: a row of a known form, put into one of our wordings.

As in the authors' recipe every row is put into one wording, drawn by chance, and no field is
longer than 2,048 characters. They cut longer ones, whether the answer is lost or not; here only a
passage is cut, and only where its start will do. Other rows are left out with a reason.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bonito_assets.bonito_training import wordings
from bonito_assets.bonito_training.data_set import Counts, DataSet, Opened, drawn, opened
from bonito_assets.bonito_training.pairs import Pair
from bonito_assets.bonito_training.templates import completion
from bonito_assets.bonito_training.wordings import Wording
from bonito_assets.generation.prompts import neutralise, prompt
from bonito_assets.tables import CONTEXT_SLOT, PIPE

# Characters per field. It is what Bonito saw: promptsource cuts every field there.
MOST_CHARS = 2048
# Rows per data set; what the authors took at most of each, so that no large one outweighs the rest.
MOST_ROWS = 100_000
_LETTERS = "ABCDEFGHIJ"


class Unfit(Exception):
    """A row cannot become a pair; the message is a short reason that is counted."""


@dataclass(frozen=True)
class Annotated:
    """One annotated data set and how its rows are to be read.

    ``columns`` says where a field of the form is when not under its usual name; a dot goes into a
    nested column. ``labels`` names the labels 0, 1, ... where the data set does not.
    """

    data_set: DataSet
    form: str
    license: str
    columns: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    limit: int = MOST_ROWS


@dataclass(frozen=True)
class Form:
    """How rows of one kind are read.

    ``columns`` are the usual names of its columns; ``read`` gives the wordings' fields, ``label``
    among them for forms with labels. ``may_cut`` tells that the start of a passage will do where
    it is too long. ``meanings`` are the names that labels 0, 1, ... go by in data sets.
    """

    wordings: tuple[Wording, ...]
    columns: tuple[str, ...]
    read: Callable[[dict[str, Any]], dict[str, Any]]
    may_cut: bool = False
    meanings: tuple[frozenset[str], ...] = ()


def pairs(annotated: Annotated, counts: Counts, seed: int) -> Iterator[Pair]:
    """Yields the pairs of one data set.

    Of more than ``limit`` rows so many are drawn by chance; the same seed draws the same ones.
    `counts` is filled meanwhile. Raises ``ValueError`` for an unknown form, a data set that is not
    there and a column that it does not have.
    """
    form = _form(annotated)
    source = opened(annotated.data_set)
    counts.version = source.version
    rng = random.Random(f"{seed} {annotated.data_set.title} {annotated.form}")
    for row in drawn(source.rows, annotated.limit, rng, counts):
        try:
            made = _pair(row, annotated, form, source, rng)
        except Unfit as reason:
            counts.left_out[str(reason)] += 1
            continue
        counts.pairs += 1
        yield made


def _pair(
    row: Mapping[str, Any], annotated: Annotated, form: Form, source: Opened, rng: random.Random
) -> Pair:
    """Gives the pair that one row makes, or raises ``Unfit``.

    The instruction, or the answer in text generation, holds the passage's place exactly once.
    """
    values = {name: _column(row, name, annotated) for name in form.columns}
    fields = form.read(values)
    number, names = None, annotated.labels
    if "label" in fields:
        names = names or tuple(source.classes.get(_place(annotated, "label"), ()))
        if not names and not form.meanings:
            raise ValueError(
                f"{annotated.data_set.title}: the labels have no names; give them as `labels`, "
                "in the order of their numbers"
            )
        number = _label(fields.pop("label"), names, form)
    context = _passage(fields.pop("context"), fields.get("answer"), form)
    wording = rng.choice([w for w in form.wordings if w.only_label in (None, number)])
    if number is not None and "{label}" in wording.answer:
        words = wording.labels or names
        fields |= {"label": words[number], "labels": _alternatives(words)}
    _check(fields)
    instruction, answer = (
        text.format(**fields, context=CONTEXT_SLOT).strip()
        for text in (wording.instruction, wording.answer)
    )
    return Pair(
        wording.task_type,
        context,
        prompt(context, wording.task_type),
        completion(instruction, answer),
        annotated.data_set.title,
        annotated.license,
        wording.name,
    )


def _form(annotated: Annotated) -> Form:
    if annotated.form not in FORMS:
        raise ValueError(
            f"{annotated.data_set.title}: there is no form '{annotated.form}'; choose one of: "
            f"{', '.join(FORMS)}"
        )
    form = FORMS[annotated.form]
    for name in annotated.columns:
        if name not in form.columns:
            raise ValueError(
                f"{annotated.data_set.title}: the form '{annotated.form}' has no field '{name}'; "
                f"its fields are {', '.join(form.columns)}"
            )
    return form


def _place(annotated: Annotated, name: str) -> str:
    return annotated.columns.get(name, name)


def _column(row: Mapping[str, Any], name: str, annotated: Annotated) -> Any:
    value: Any = row
    place = _place(annotated, name)
    for part in place.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise ValueError(
                f"{annotated.data_set.title}: there is no column '{place}'; it has "
                f"{', '.join(row)}. Say where '{name}' is under `columns`"
            )
        value = value[part]
    return value


def _label(value: Any, names: tuple[str, ...], form: Form) -> int:
    """Gives the number that the form gives to a label: to a name, a truth value or a number.

    A number counts in the data set's own names where it has them, else in the form's.
    """
    if isinstance(value, str):
        said = value.strip()
        value = names.index(said) if said in names else int(said) if said.isdigit() else said
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        value = names[value] if form.meanings else value
    if isinstance(value, str):
        meant = value.lower().replace("_", " ")
        value = next((n for n, names in enumerate(form.meanings) if meant in names), -1)
    # -1 is how data sets of the hub say that a row has no label.
    if not isinstance(value, int) or not 0 <= value < (len(form.meanings) or len(names)):
        raise Unfit("label_unknown")
    return int(value)


def _passage(context: Any, answer: str | None, form: Form) -> str:
    text = _text(context)
    if len(text) > MOST_CHARS:
        if not form.may_cut:
            raise Unfit("too_long")
        text = _cut(text)
    if form.wordings is wordings.SQUAD and answer not in text:
        raise Unfit("answer_not_in_passage")
    # A passage with marks of the format would teach that passages hold them.
    if neutralise(text) != text:
        raise Unfit("format_marker")
    return text


def _cut(text: str) -> str:
    """Gives the start of a text up to the last end of a sentence, or a word, that fits."""
    start = text[:MOST_CHARS]
    end = max(start.rfind(mark) for mark in (". ", "! ", "? ", ".\n"))
    return start[: end + 1] if end > 0 else start.rpartition(" ")[0]


def _check(fields: Mapping[str, Any]) -> None:
    for value in fields.values():
        if not isinstance(value, str):
            continue
        if not value.strip():
            raise Unfit("empty")
        if len(value) > MOST_CHARS:
            raise Unfit("too_long")
        if PIPE in value or neutralise(value) != value:
            raise Unfit("format_marker")


def _text(value: Any) -> str:
    """Gives a field as text: strings as they are, lists of strings as paragraphs."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "\n\n".join(value)
    if not isinstance(value, str) or not value.strip():
        raise Unfit("empty")
    return value.strip()


def _question(value: Any) -> str:
    asked = _text(value)
    return asked if asked.endswith(("?", ".", ":", "!")) else asked + "?"


def _alternatives(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _squad(row: dict[str, Any]) -> dict[str, Any]:
    answers = row["answers"]
    if isinstance(answers, Mapping):  # as on the hub: {"text": [...], "answer_start": [...]}
        answers = answers.get("text")
    first = answers[0] if isinstance(answers, list) and answers else answers
    if isinstance(first, Mapping):  # as in the original files: [{"text": ..., ...}]
        first = first.get("text")
    if not first:
        raise Unfit("no_answer")
    return {
        "context": row["context"],
        "question": _question(row["question"]),
        "answer": _text(first),
    }


def _choices(options: Any, right: Any) -> dict[str, str]:
    """Gives listed options, the right one and its letter; `right` is number, letter or text."""
    if isinstance(options, Mapping):  # as in ARC: {"text": [...], "label": [...]}
        right = options["label"].index(right) if right in options.get("label", ()) else right
        options = options.get("text")
    if not isinstance(options, list) or not 2 <= len(options) <= len(_LETTERS):
        raise Unfit("no_choices")
    texts = [_text(option) for option in options]
    if len(set(texts)) < len(texts):
        raise Unfit("choice_twice")
    if isinstance(right, str):
        said = right.strip()
        if said in texts:
            right = texts.index(said)
        elif said.isdigit():
            right = int(said)
        else:
            right = _LETTERS.find(said) if len(said) == 1 else -1
    if not isinstance(right, int) or not 0 <= right < len(texts):
        raise Unfit("label_unknown")
    return {
        "options": "\n".join(
            f"{letter}: {text}" for letter, text in zip(_LETTERS, texts, strict=False)
        ),
        "dashes": "\n".join(f"- {text}" for text in texts),
        "letter": _LETTERS[right],
        "answer": texts[right],
    }


def _multiple_choice(row: dict[str, Any]) -> dict[str, Any]:
    asked = {"context": row["context"], "question": _question(row["question"])}
    return asked | _choices(row["choices"], row["answer"])


def _completion(row: dict[str, Any]) -> dict[str, Any]:
    return {"context": row["context"]} | _choices(row["endings"], row["label"])


def _boolq(row: dict[str, Any]) -> dict[str, Any]:
    asked = _question(row["question"])
    return {
        "context": row["context"],
        "question": asked[0].upper() + asked[1:],
        "label": row["label"],
    }


def _statement(row: dict[str, Any]) -> dict[str, Any]:
    claim = _text(row["hypothesis"]).rstrip(".").replace('"', "'")
    return {"context": row["premise"], "hypothesis": claim, "label": row["label"]}


def _two_sentences(row: dict[str, Any]) -> dict[str, Any]:
    other = _text(row["sentence2"])
    if other == _text(row["sentence1"]):
        raise Unfit("same_twice")
    return {"context": row["sentence1"], "other": other, "label": row["label"]}


def _word_sense(row: dict[str, Any]) -> dict[str, Any]:
    return _two_sentences(row) | {"word": _text(row["word"])}


def _classified(row: dict[str, Any]) -> dict[str, Any]:
    return {"context": row["text"], "label": row["label"]}


def _summary(row: dict[str, Any]) -> dict[str, Any]:
    return {"context": row["document"], "summary": _text(row["summary"])}


def _coreference(row: dict[str, Any]) -> dict[str, Any]:
    names = {"mention": _text(row["span1_text"]), "pronoun": _text(row["span2_text"])}
    return {"context": row["text"], "label": row["label"]} | names


_NO = frozenset({"no", "false"})
_YES = frozenset({"yes", "true"})
_SUPPORTED = frozenset({"entailment", "entailed", "supports"})
_OPEN = frozenset({"neutral", "notmentioned", "not mentioned", "not enough info"})
_REFUTED = frozenset({"contradiction", "contradicted", "refutes"})

FORMS: dict[str, Form] = {
    "squad": Form(wordings.SQUAD, ("context", "question", "answers"), _squad, may_cut=True),
    "multiple_choice": Form(
        wordings.MULTIPLE_CHOICE, ("context", "question", "choices", "answer"), _multiple_choice
    ),
    "boolq": Form(wordings.BOOLQ, ("context", "question", "label"), _boolq, meanings=(_NO, _YES)),
    "nli": Form(
        wordings.NLI,
        ("premise", "hypothesis", "label"),
        _statement,
        meanings=(_SUPPORTED, _OPEN, _REFUTED),
    ),
    "entailment": Form(
        wordings.ENTAILMENT,
        ("premise", "hypothesis", "label"),
        _statement,
        meanings=(_SUPPORTED | _YES, _NO | {"not entailment"}),
    ),
    "paraphrase": Form(
        wordings.PARAPHRASE,
        ("sentence1", "sentence2", "label"),
        _two_sentences,
        meanings=(_NO | {"not equivalent", "not duplicate"}, _YES | {"equivalent", "duplicate"}),
    ),
    "sentiment": Form(
        wordings.SENTIMENT,
        ("text", "label"),
        _classified,
        may_cut=True,
        meanings=(frozenset({"negative", "neg"}), frozenset({"positive", "pos"})),
    ),
    "topic": Form(wordings.TOPIC, ("text", "label"), _classified, may_cut=True),
    "summary": Form(wordings.SUMMARY, ("document", "summary"), _summary),
    "completion": Form(wordings.COMPLETION, ("context", "endings", "label"), _completion),
    "word_sense": Form(
        wordings.WORD_SENSE,
        ("sentence1", "sentence2", "word", "label"),
        _word_sense,
        meanings=(_NO, _YES),
    ),
    "coreference": Form(
        wordings.COREFERENCE,
        ("text", "span1_text", "span2_text", "label"),
        _coreference,
        meanings=(_NO, _YES),
    ),
}
