"""Rows of which it is known whether they are duplicates: three cases, in two worlds.

``different``  two questions on one passage are two rows
``copied``     one question on two near-copies of a passage is one row
``stock``      one question on two passages is two rows

The worlds have nothing in common, neither words nor instructions nor questions: whoever sets
anything by the rows of one of them reports the figures of the other.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import NamedTuple

CASES = ("different", "copied", "stock")
# Passages are near-copies from this similarity of their word 5-grams on.
THRESHOLD = 0.8


class Row(NamedTuple):
    """A row of `tasks`, with the text of its passage."""

    task_type: str
    input: str
    output: str
    passage: str


class Pair(NamedTuple):
    """Two rows of a case; they are duplicates in the case ``copied`` and in no other."""

    case: str
    kind: str
    one: Row
    other: Row


class World(NamedTuple):
    """The words, sentences and instructions that rows are made of.

    A frame has ``{c}`` for the passage and ``{q}`` for the question. `questions` have ``{n}`` for a
    noun, ``{v}`` for a verb, ``{p}`` for a name and ``{d}`` for a number. `stock` are tasks that
    name nothing of the passage, with their answers.
    """

    nouns: list[str]
    verbs: list[str]
    names: list[str]
    sentences: list[str]
    frames: list[tuple[str, str]]
    questions: list[str]
    options: str
    label_frames: list[tuple[str, str]]
    claims: list[str]
    labels: tuple[str, ...]
    stock: list[tuple[str, str, str]]
    lead: str
    tail: str


_LONG = (
    "Below you find a passage that somebody has taken from a longer document. Please read all of "
    "it with care, keep in mind that only what it says counts, whatever you may know of the matter "
    "from elsewhere, and then give the answer in as few words as you can.\n\n{c}\n\nQuestion: {q}"
)
_LONG_OTHER = (
    "You will be shown an extract and one thing to decide about it. Nothing but the extract may be "
    "used for the decision, and where it leaves the matter open you say so. Do not explain how you "
    "came to your decision and do not repeat any part of the extract in it.\n\nExtract: {c}\n\n"
    "To be decided: {q} Reply in a word or two."
)

TUNING = World(
    nouns="harbour river council bridge market engine letter garden teacher station contract "
    "tenant landlord railway library surgeon painter kitchen valley archive castle budget journey "
    "bottle invoice deposit window roof cellar ferry orchard mill".split(),
    verbs="opened moved built sold found kept changed closed painted carried reached left signed "
    "repaired lent counted".split(),
    names="Anna Boris Clara Daniel Edith Frank Greta Hannes Irene Jakob Karin Ludwig".split(),
    sentences=[
        "{p} {v} the {n} near the {n} in {d}.",
        "The {n} of the {n} was {v} by {p} after {d} days.",
        "Because the {n} had been {v}, the {n} cost {d} crowns more than the {n}.",
        "In {d} the {n} and the {n} were {v} for the first time.",
        "Nobody knew why {p} had {v} the old {n} beside the {n}.",
        "A {n} that is not {v} within {d} weeks goes back to the {n}.",
    ],
    frames=[
        ("exqa", "{c}\n\nQuestion: {q}\nAnswer with words from the passage."),
        ("exqa", "Passage: {c}\nQuestion: {q}\nAnswer:"),
        ("qa", "Use the text to answer the question.\n\n{c}\n\n{q}"),
        ("qa", "{q}\n\n{c}"),
        ("exqa", _LONG),
    ],
    questions=[
        "Who {v} the {n}?",
        "What did {p} do with the {n}?",
        "When was the {n} {v} by {p}?",
        "Which {n} was {v} in {d}?",
        "Where is the {n} that {p} {v}?",
        "Why was the {n} not {v}?",
    ],
    options="{c}\n\nQuestion: {q}\nOptions:\n{o}",
    label_frames=[
        ("nli", '{c}\n\nDoes it follow that "{q}"? Yes, No or Maybe?'),
        ("ynqa", "Read the text and answer Yes or No.\n\n{c}\n\nQuestion: Is it true that {q}?"),
    ],
    claims=[
        "{p} {v} the {n}",
        "the {n} was {v} by {p}",
        "the {n} costs {d} crowns",
        "the {n} is older than the {n}",
    ],
    labels=("Yes", "No"),
    stock=[
        ("sentiment", "{c}\n\nIs this text positive, negative or neutral?", "neutral"),
        ("topic_class", "What is the topic of this text?\n\n{c}", "Business"),
        ("exqa", "{c}\n\nQuestion: Who is the tenant?", "The passage does not say."),
        ("ynqa", "{c}\n\nQuestion: Does the text name a price? Yes or No?", "Yes"),
        ("summarization", "Give the text a title.\n\n{c}", "Notes on the house"),
    ],
    lead="From the papers of the year.",
    tail="See also the list at the end.",
)

REPORTING = World(
    nouns="enzyme membrane glacier comet satellite antenna violin sonata sculptor harvest vineyard "
    "tribunal verdict witness senate embassy treaty parliament lighthouse submarine telescope "
    "laboratory vaccine patient nurse clinic orbit crater festival orchestra ballad "
    "curator".split(),
    verbs="observed measured repainted rejected approved recorded analysed discovered cancelled "
    "transported rebuilt described exported questioned inherited removed".split(),
    names="Mahmoud Priya Sofia Tomas Ulrike Viktor Wanda Xavier Yasmin Zoltan Olga Nadia".split(),
    sentences=[
        "According to {p}, the {n} had already been {v} when the {n} arrived.",
        "Some {d} visitors saw how the {n} was {v}; only {p} stayed until the end.",
        "It took {d} months before any {n} could be {v} without a {n}.",
        "Unlike the {n}, which {p} {v} twice, the {n} has never been {v}.",
        "They {v} a {n} of {d} metres and sent it to the {n} of {p}.",
        "Reports of {d} mention neither the {n} nor the {n} that {p} {v}.",
        "Whether the {n} ought to be {v} is for the {n} to say.",
    ],
    frames=[
        ("exqa", "Here is an article:\n{c}\nFind in it the answer to this: {q}"),
        ("qa", "Context: {c} Q: {q} A:"),
        ("qa", "{c}\nIn the article above, {q}"),
        ("exqa", "I want to know the following: {q}\nCan you quote it from here?\n\n{c}"),
        ("qa", _LONG_OTHER),
    ],
    questions=[
        "how often was the {n} {v}?",
        "by whom was the {n} {v}, {p} or somebody else?",
        "what happened to the {n} after {p} had {v} it?",
        "did the {n} weigh {d} grams or more?",
        "who couldn't find the {n} of {p}?",
        "which {n} belongs to the {n}?",
    ],
    options="{c}\n\n{q} Choose the right one.\n{o}\nThe letter is not needed.",
    label_frames=[
        ("te", "Text: {c}\nClaim: {q}.\nIs the claim supported? True or False?"),
        ("nli", "Take it as given that {c}\nThen we know that “{q}”: True, False or Neither?"),
    ],
    claims=[
        "{p} has {v} every {n}",
        "no {n} was ever {v}",
        "more than {d} of the {n}s were {v}",
        "the {n} belongs to {p}",
    ],
    labels=("True", "False"),
    stock=[
        ("paraphrase_id", "{c}\nIs that sentence well written? True or False?", "True"),
        ("qa", "{c}\n\nWho wrote this, and when?", "Unknown"),
        (
            "topic_class",
            "Is this news, science or culture?\n{c}",
            "science",
        ),
        ("text_gen", "Write an article of the kind found in magazines.", "{c}"),
        ("qg", "Ask something about this article.\n\n{c}", "What is it about?"),
    ],
    lead="First published in the supplement, page two.",
    tail="Translated from the original by the editors.",
)


def planted(world: World, per_case: int, seed: int) -> list[Pair]:
    """Gives so many pairs of each case, always the same for a seed."""
    rng = random.Random(seed)
    makers = {"different": _different, "copied": _copied, "stock": _stock}
    return [makers[case](world, number, rng) for case in CASES for number in range(per_case)]


def jaccard(one: str, other: str) -> float:
    """Gives the Jaccard similarity of the word 5-grams, case and punctuation aside."""
    grams = []
    for text in (one, other):
        words = re.findall(r"\w+", text.lower())
        grams.append({tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))})
    return len(grams[0] & grams[1]) / len(grams[0] | grams[1])


def _filled(text: str, world: World, rng: random.Random) -> str:
    kinds: dict[str, Callable[[], str]] = {
        "n": lambda: rng.choice(world.nouns),
        "v": lambda: rng.choice(world.verbs),
        "p": lambda: rng.choice(world.names),
        "d": lambda: str(rng.randrange(2, 2000)),
    }
    return re.sub(r"\{([nvpd])\}", lambda found: kinds[found[1]](), text)


def _passage(world: World, rng: random.Random, chars: int | None = None) -> str:
    """Gives a passage of one sentence to 2,000 characters, with a paragraph here and there."""
    chars = chars or int(2000 * rng.random() ** 2)
    text = _filled(rng.choice(world.sentences), world, rng)
    while len(text) < chars:
        gap = "\n\n" if rng.random() < 0.1 else " "
        text += gap + _filled(rng.choice(world.sentences), world, rng)
    return text[:2000].strip()


class _Task(NamedTuple):
    task_type: str
    frame: str
    question: str
    answer: str

    def on(self, passage: str) -> Row:
        asked = self.frame.replace("{q}", self.question).replace("{c}", passage.strip())
        return Row(self.task_type, asked, self.answer.replace("{c}", passage.strip()), passage)


def _options(world: World, rng: random.Random) -> list[str]:
    return [f"- the {noun}" for noun in rng.sample(world.nouns, 3)]


def _task(world: World, rng: random.Random) -> _Task:
    kind = rng.random()
    if kind < 0.4:
        task_type, frame = rng.choice(world.label_frames)
        claim = _filled(rng.choice(world.claims), world, rng)
        return _Task(task_type, frame, claim, rng.choice(world.labels))
    question = _filled(rng.choice(world.questions), world, rng)
    if kind < 0.55:
        options = _options(world, rng)
        frame = world.options.replace("{o}", "\n".join(options))
        return _Task("mcqa", frame, question, rng.choice(options).removeprefix("- "))
    task_type, frame = rng.choice(world.frames)
    answer = rng.choice(
        (
            f"the {rng.choice(world.nouns)}",
            rng.choice(world.names),
            rng.choice(world.labels),
            _filled(rng.choice(world.sentences), world, rng),
        )
    )
    return _Task(task_type, frame, question, answer)


# Two questions on one passage


def _other_word(task: _Task, world: World, rng: random.Random) -> _Task | None:
    words = [w for w in task.question.split() if w.strip("?,s") in world.nouns + world.verbs]
    if not words:
        return None
    word = rng.choice(words)
    bare = word.strip("?,")
    pool = world.verbs if bare in world.verbs else world.nouns
    new = rng.choice([w for w in pool if w not in task.question])
    return task._replace(question=task.question.replace(bare, new, 1))


def _other_name(task: _Task, world: World, rng: random.Random) -> _Task | None:
    found = next((name for name in world.names if name in task.question), None)
    if found is None:
        return None
    new = rng.choice([name for name in world.names if name not in task.question])
    return task._replace(question=task.question.replace(found, new))


def _other_number(task: _Task, world: World, rng: random.Random) -> _Task | None:
    found = re.search(r"\d+", task.question)
    if found is None:
        return None
    number = found[0]
    new = rng.choice(
        (f"-{number}", f"{number}0", f"{number}.5", f"{number}%", str(int(number) + 1))
    )
    return task._replace(question=task.question.replace(number, new, 1))


def _negated(task: _Task, world: World, rng: random.Random) -> _Task | None:
    for said, not_said in ((" was ", " was not "), (" had ", " hadn't "), (" is ", " isn't "),
                           (" did ", " didn't "), (" has ", " has not ")):  # fmt: skip
        if said in task.question and "not" not in task.question:
            return task._replace(question=task.question.replace(said, not_said, 1))
    return None


def _other_answer(task: _Task, world: World, rng: random.Random) -> _Task:
    others = world.labels if task.answer in world.labels else (*world.names, *world.labels)
    return task._replace(answer=rng.choice([a for a in others if a != task.answer]))


def _other_option(task: _Task, world: World, rng: random.Random) -> _Task | None:
    options = [line for line in task.frame.split("\n") if line.startswith("- ")]
    wrong = [line for line in options if line.removeprefix("- ") != task.answer]
    if not wrong:
        return None
    new = rng.choice([noun for noun in world.nouns if noun not in task.frame])
    return task._replace(frame=task.frame.replace(rng.choice(wrong), f"- the {new}"))


def _other_question(task: _Task, world: World, rng: random.Random) -> _Task | None:
    other = _task(world, rng)
    return other if (other.question, other.frame) != (task.question, task.frame) else None


_CHANGES: tuple[Callable[[_Task, World, random.Random], _Task | None], ...] = (
    _other_word,
    _other_word,
    _other_name,
    _other_number,
    _negated,
    _other_answer,
    _other_option,
    _other_question,
)


def _different(world: World, number: int, rng: random.Random) -> Pair:
    passage = _passage(world, rng)
    change = _CHANGES[number % len(_CHANGES)]
    while True:
        task = _task(world, rng)
        other = change(task, world, rng)
        if other is not None:
            return Pair("different", change.__name__, task.on(passage), other.on(passage))


# One question on near-copies of a passage


def _words_changed(text: str, world: World, rng: random.Random) -> str:
    parts = re.split(r"(\s+)", text)
    for _ in range(rng.randint(1, max(1, len(parts) // 120))):
        place = rng.randrange(0, len(parts), 2)
        edit = rng.randrange(3)
        if edit == 0:
            parts[place] = rng.choice(world.nouns)
        elif edit == 1:
            parts[place] = ""
        else:
            parts[place] += f" {rng.choice(world.nouns)}"
    return "".join(parts)


def _number_changed(text: str, world: World, rng: random.Random) -> str:
    numbers = list(re.finditer(r"\d+", text))
    if not numbers:
        return text.upper()
    found = rng.choice(numbers)
    return f"{text[: found.start()]}{int(found[0]) + 7}{text[found.end() :]}"


def _rewrapped(text: str, world: World, rng: random.Random) -> str:
    words = text.split()
    width = rng.randint(5, 12)
    return "\n".join(" ".join(words[i : i + width]) for i in range(0, len(words), width))


def _recased(text: str, world: World, rng: random.Random) -> str:
    return rng.choice((text.upper, text.lower, text.title))()


def _repunctuated(text: str, world: World, rng: random.Random) -> str:
    return rng.choice(
        (text.replace(",", " -"), text.replace(".", "!"), text.replace(". ", "; "), f'"{text}"')
    )


def _led_in(text: str, world: World, rng: random.Random) -> str:
    return f"{world.lead} {text}"


def _led_out(text: str, world: World, rng: random.Random) -> str:
    return f"{text}\n\n{world.tail}"


_EDITS = (
    _words_changed,
    _words_changed,
    _number_changed,
    _rewrapped,
    _recased,
    _repunctuated,
    _led_in,
    _led_out,
)


def _respelled(task: _Task, rng: random.Random) -> _Task:
    """Gives the task as another sample might have written it, with no other word."""
    question = task.question
    how = rng.randrange(6)
    if how == 0:
        question = question[0].swapcase() + question[1:]
    elif how == 1:
        question = question.rstrip("?") + " ?"
    elif how == 2:
        question = question.replace(" not ", "  not ").replace("couldn't", "could not")
    elif how == 3:
        return task._replace(answer=f"{task.answer.rstrip('.')}.")
    elif how == 4:
        return task._replace(answer=task.answer[0].swapcase() + task.answer[1:])
    return task._replace(question=question)


def _copied(world: World, number: int, rng: random.Random) -> Pair:
    edit = _EDITS[number % len(_EDITS)]
    while True:
        passage = _passage(world, rng)
        copy = edit(passage, world, rng)
        if copy != passage and jaccard(passage, copy) >= THRESHOLD:
            task = _task(world, rng)
            return Pair("copied", edit.__name__, task.on(passage), _respelled(task, rng).on(copy))


# One question on two passages


def _unlike(passage: str, world: World, rng: random.Random) -> str:
    return _passage(world, rng, len(passage))


def _half_shared(passage: str, world: World, rng: random.Random) -> str:
    sentences = re.split(r"(?<=\.)\s", passage)
    return " ".join(
        sentence if place % 2 else _filled(rng.choice(world.sentences), world, rng)
        for place, sentence in enumerate(sentences)
    )


def _one_sentence(passage: str, world: World, rng: random.Random) -> str:
    return _filled(rng.choice(world.sentences), world, rng)


_OTHERS = (_unlike, _half_shared, _one_sentence)


def _stock(world: World, number: int, rng: random.Random) -> Pair:
    make = _OTHERS[number % len(_OTHERS)]
    short = make is _one_sentence
    if rng.random() < 0.7:
        task_type, frame, answer = rng.choice(world.stock)
        task = _Task(task_type, frame, "", answer)
    else:
        task = _task(world, rng)
    while True:
        passage = make("", world, rng) if short else _passage(world, rng)
        other = make(passage, world, rng)
        # Between near-copies and strangers lies what either word would fit.
        if jaccard(passage, other) < 0.65:
            return Pair("stock", make.__name__, task.on(passage), task.on(other))
