"""Judges one output: read, looked at as any task, then as what its task type promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from bonito_assets.catalogue import Corpus, CustomTaskType
from bonito_assets.parsing import bonito_output
from bonito_assets.parsing.bonito_output import Task
from bonito_assets.parsing.checks import classes, general, questions, statements, texts
from bonito_assets.parsing.checks.judgement import ACCEPTED, Check, Judgement
from bonito_assets.parsing.options import options
from bonito_assets.parsing.words import Passage, bare, repeats_itself
from bonito_assets.tables import CONTEXT_SLOT, PIPE

# (task type, output, finish reason, passage) -> the task or the verdict on it.
Judge = Callable[[str, str, str | None, Passage], Task]

CHECKS: dict[str, Check] = {
    "exqa": questions.exqa,
    "mcqa": questions.mcqa,
    "qg": questions.qg,
    "qa": questions.qa,
    "ynqa": questions.ynqa,
    "coref": statements.coref,
    "paraphrase": texts.paraphrase,
    "paraphrase_id": statements.paraphrase_id,
    "sent_comp": texts.sent_comp,
    "sentiment": classes.sentiment,
    "summarization": texts.summarization,
    "text_gen": texts.text_gen,
    "topic_class": classes.topic_class,
    "wsd": statements.wsd,
    "te": statements.te,
    "nli": statements.nli,
}


def judge_of(corpus: Corpus) -> Judge:
    """Gives the way in which `corpus` wants its outputs judged."""
    if corpus.parsing.mode == "upstream":
        return upstream
    own = {name: custom(kind) for name, kind in corpus.custom_task_types.items()}
    return partial(strict, {**CHECKS, **own})


def upstream(task_type: str, output: str, finish_reason: str | None, passage: Passage) -> Task:
    """Gives what the upstream package makes of the output: it asks for one pipe and no more."""
    return bonito_output.upstream(output, passage.text)


def strict(
    checks: Mapping[str, Check],
    task_type: str,
    output: str,
    finish_reason: str | None,
    passage: Passage,
) -> Task:
    """Gives instruction, answer and label of the output, or the first reason against it.

    A type without an entry in `checks` is judged by the general checks alone.
    """
    sides = output.split(PIPE)
    if len(sides) != 2:
        # A cut output often lacks its pipe; the cut is the reason, and a higher limit the remedy.
        verdict = "no_pipe" if len(sides) < 2 else "two_pipes"
        return Task(None, None, None, "truncated" if finish_reason != "stop" else verdict)
    instruction, answer = sides[0].strip(), sides[1].strip()
    slots = instruction.count(CONTEXT_SLOT)
    own = instruction.replace(CONTEXT_SLOT, " ") if slots else instruction
    if finish_reason != "stop":
        verdict, label = "truncated", None
    else:
        verdict = _general(task_type, output, instruction, answer, slots, own, passage)
        label = None
        if verdict is None and task_type in checks:
            verdict, label = checks[task_type](own, answer, passage)
    filling = passage.filling
    return Task(
        instruction.replace(CONTEXT_SLOT, filling),
        answer.replace(CONTEXT_SLOT, filling),
        label,
        verdict,
    )


def _general(
    task_type: str,
    output: str,
    instruction: str,
    answer: str,
    slots: int,
    own: str,
    passage: Passage,
) -> str | None:
    """Gives the first general reason against an output with `slots` places in its instruction."""
    if not instruction or not answer:
        return "empty_output"
    in_answer = output.count(CONTEXT_SLOT) - slots
    of_text_gen = task_type == "text_gen"
    here, there = (in_answer, slots) if of_text_gen else (slots, in_answer)
    if here > 1:
        return "placeholder_doubled"
    if there:
        return "placeholder_misplaced"
    if general.residue(output, here):
        return "template_residue"
    if not here:
        return "passage_copied" if general.holds(own, passage) else "placeholder_missing"
    # Half the passage at the least has to be there; most instructions are shorter. Notes for a
    # text may well be made of its beginnings.
    long_enough = 2 * len(own) >= len(passage.filling) and not of_text_gen
    if long_enough and general.holds_much_of(own, passage):
        return "passage_copied"
    if own.isspace():
        return "question_missing"
    if general.foreign_frame(own, passage):
        return "foreign_frame"
    if len(answer) > 40 and repeats_itself(answer):
        return "repetitive"
    return None


def custom(kind: CustomTaskType) -> Check:
    """Gives the check of a task type that a catalogue file defines."""
    if kind.answer == "span":
        return lambda instruction, answer, passage: questions.span(answer, passage)
    if kind.answer == "choice":
        return lambda instruction, answer, passage: questions.choice(options(instruction), answer)
    if kind.answer == "free":
        return lambda instruction, answer, passage: ACCEPTED
    labels = {bare(label): label for label in kind.labels or ()}

    def one_of(instruction: str, answer: str, passage: Passage) -> Judgement:
        label = labels.get(bare(answer))
        return (None, label) if label is not None else ("label_unknown", None)

    return one_of
