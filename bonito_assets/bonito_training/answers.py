"""Whether a generated task keeps the form of its type, and whether its answer is right.

Both are decided from the passage by rule, for tasks in the wordings of ``templates``. They serve
the tests of the pairs and the measurement of the trained network.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from bonito_assets.bonito_training import sentences as rule
from bonito_assets.bonito_training.templates import NEITHER, TRIPLES, mood_of, parsed, topic_of
from bonito_assets.bonito_training.text import sentences
from bonito_assets.tables import CONTEXT_SLOT


@dataclass(frozen=True)
class Verdict:
    """`parses`: the format is kept; `passes`: so is the type's; `right`: null when undecided."""

    parses: bool
    passes: bool = False
    right: bool | None = None


def normalised(text: str) -> str:
    """Gives `text` in lower case without punctuation and articles, as SQuAD's measure does."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(w for w in text.split() if w not in ("a", "an", "the"))


def answered(question: str, passage: str) -> str | None:
    """Gives the answer that `passage` holds to a question of ``templates.question``, or None."""
    if quoted := re.search(r'"(.+?)(?: \.\.\.)?"', question):
        for sentence in sentences(passage):
            _, found, rest = sentence.partition(quoted[1] + " ")
            if found:
                return rule.body(rest)
        return None
    question = question.removesuffix("?")
    if question.startswith("Who or what "):
        rest = question.removeprefix("Who or what ")
        for sentence in sentences(passage):
            if rule.body(sentence).endswith(" " + rest):
                return rule.body(sentence)[: -len(rest) - 1]
        return None
    before, found, after = question.partition(" how many ")
    if found:
        pattern = rf"{re.escape(before)} (\S+) {re.escape(after)}"
        if match := re.search(pattern, passage):
            return match[1]
    return None


def _question(instruction: str) -> str:
    """Gives the question inside an instruction of a question-answering type."""
    text = instruction.replace(CONTEXT_SLOT, " ")
    found = re.findall(r"^(?:.*?(?:Question|text|No):)?([^\n]*?\?)(?=$|\s)", text, flags=re.M)
    return found[-1].strip() if found else ""


def _claim(instruction: str) -> str | None:
    found = re.search(r'"(.+)"', instruction)
    return found[1].strip() if found else None


def _labels(instruction: str) -> tuple[str, ...]:
    for labels in (*TRIPLES, ("True", "False"), ("Yes", "No")):
        if all(re.search(rf"\b{label}\b", instruction) for label in labels):
            return labels
    return ()


def _is_open(claim: str) -> bool:
    """True for a statement in the wording of those that a passage leaves open."""
    return any(
        re.fullmatch(re.sub(r"\\\{[sl]\\\}", ".+", re.escape(rule.body(n))), claim) for n in NEITHER
    )


def _statement(instruction: str, answer: str, passage: str) -> Verdict:
    labels, claim = _labels(instruction), _claim(instruction)
    if claim is None:
        asked = _question(instruction).removesuffix("Yes or No?").strip()
        if not asked:
            return Verdict(True)
        expected = 0 if asked in map(rule.inverted, sentences(passage)) else 1
    else:
        said = {rule.body(s) for s in sentences(passage)}
        expected = 0 if rule.body(claim) in said else 1
        if expected and len(labels) == 3 and _is_open(claim):
            expected = 2
    fits = answer in labels and (claim is None or normalised(claim) != normalised(passage))
    return Verdict(True, fits, fits and answer == labels[expected])


def _extractive(instruction: str, answer: str, passage: str) -> Verdict:
    span = f" {normalised(answer)} "
    fits = span != "  " and span in f" {normalised(passage)} "
    return Verdict(True, fits, answered(_question(instruction), passage) == answer)


def _choice(instruction: str, answer: str, passage: str) -> Verdict:
    lettered = dict(re.findall(r"^([A-D]): (.+)$", instruction, flags=re.M))
    options = list(lettered.values()) or re.findall(r"^- (.+)$", instruction, flags=re.M)
    fits = len(options) > 1 and len(set(options)) == len(options)
    fits = fits and (answer in options or answer in lettered)
    chosen = lettered.get(answer, answer)
    if "is mentioned in the passage?" in instruction:
        named = [option for option in options if option.lower() in passage.lower()]
        return Verdict(True, fits, fits and named == [chosen])
    return Verdict(True, fits, fits and answered(_question(instruction), passage) == chosen)


def _generated_question(instruction: str, answer: str, passage: str) -> Verdict:
    wanted = re.search(r'"(.+)"|^Answer: (.+)$', instruction, flags=re.M)
    fits = answer.endswith("?") and wanted is not None
    return Verdict(True, fits, fits and answered(answer, passage) == (wanted[1] or wanted[2]))


def _from_text(instruction: str, answer: str, passage: str) -> Verdict:
    said = answer in sentences(passage)
    subject = re.search(r"(?:about|of) (.+?)\?", instruction)
    right = said and (subject is None or subject[1].lower() in answer.lower())
    return Verdict(True, normalised(answer) in normalised(passage), right)


def _summary(instruction: str, answer: str, passage: str) -> Verdict:
    return Verdict(True, len(answer) <= len(passage), answer in sentences(passage))


def _completed(instruction: str, answer: str, passage: str) -> Verdict:
    beginning = re.search(r"^(?:.*(?:[Ss]entence:|\?) )?([^\n?]+) \.\.\.$", instruction, flags=re.M)
    if beginning is None:
        return Verdict(True)
    fits = normalised(answer) in normalised(passage)
    return Verdict(True, fits, f"{beginning[1]} {answer}" in passage)


def _text(instruction: str, answer: str, passage: str) -> Verdict:
    points = re.findall(r"^- (.+)$", instruction, flags=re.M)
    fits = answer == CONTEXT_SLOT and bool(points)
    return Verdict(True, fits, fits and all(point in passage for point in points))


def _one_of(instruction: str, answer: str, expected: str | None) -> Verdict:
    fits = re.search(rf"\b{re.escape(answer)}\b", instruction) is not None
    return Verdict(True, fits, None if expected is None else fits and answer == expected)


def judged(task_type: str, output: str, passage: str) -> Verdict:
    """Gives the verdict on one completion of `task_type` that was generated for `passage`."""
    pair = parsed(output)
    if pair is None:
        return Verdict(False)
    instruction, answer = pair
    if (instruction + answer).count(CONTEXT_SLOT) != 1 or (CONTEXT_SLOT in answer) != (
        task_type == "text_gen"
    ):
        return Verdict(True)
    if task_type == "topic_class":
        return _one_of(instruction, answer, topic_of(passage))
    if task_type == "sentiment":
        return _one_of(instruction, answer, mood_of(passage))
    if task_type in ("coref", "paraphrase_id", "wsd"):
        labels = _labels(instruction)
        return Verdict(True, answer in labels and _claim(instruction) is not None)
    if task_type == "paraphrase":
        return Verdict(True, answer not in passage)
    judge = {
        "exqa": _extractive,
        "mcqa": _choice,
        "qg": _generated_question,
        "qa": _from_text,
        "summarization": _summary,
        "sent_comp": _completed,
        "text_gen": _text,
    }.get(task_type, _statement)
    return judge(instruction, answer, passage)
