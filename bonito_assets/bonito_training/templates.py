"""Programmatic pairs: one small maker per task type, from a passage to an instruction and answer.

The instruction holds the literal ``{{context}}`` where the passage belongs (for text generation
the answer does). Every answer can be checked against the passage, and nearly every one can be
found by copying from it. All wordings are the project's own.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from bonito_assets.bonito_training import grammar
from bonito_assets.bonito_training import sentences as rule
from bonito_assets.bonito_training.sentences import Asked
from bonito_assets.bonito_training.text import sentences
from bonito_assets.tables import CONTEXT_SLOT, PIPE


@dataclass(frozen=True)
class Passage:
    """One passage with its sentences, and its topic where a rule knows it."""

    text: str
    sentences: tuple[str, ...]
    topic: str | None = None

    @classmethod
    def of(cls, text: str, topic: str | None = None) -> Passage:
        """Gives the passage of `text`; a title or heading in it is none of its sentences."""
        whole = tuple(s for s in sentences(text) if s.endswith((".", "!", "?")))
        return cls(text, whole, topic or topic_of(text))


Made = tuple[str, str] | None


def completion(instruction: str, answer: str) -> str:
    """Gives the completion of Bonito's format, without the end-of-text token."""
    return f"{instruction}\n{PIPE}\n{answer}"


def parsed(text: str) -> tuple[str, str] | None:
    """Gives instruction and answer of a completion, or None when it is not in the format."""
    parts = [part.strip() for part in text.split(PIPE)]
    return (parts[0], parts[1]) if len(parts) == 2 and all(parts) else None


# Questions


def _continuation(p: Passage, rng: random.Random) -> Asked | None:
    parts = rule.split_at(rng.choice(p.sentences), rng)
    if parts is None or '"' in parts[0] + parts[1]:
        return None
    wording = rng.choice(
        (
            'What comes right after "{}" in the passage?',
            'Which words complete "{} ..."?',
            'How does the sentence "{} ..." go on?',
        )
    )
    return Asked(wording.format(parts[0]), parts[1])


def _subject(p: Passage, rng: random.Random) -> Asked | None:
    return rule.who_or_what(rng.choice(p.sentences))


def _number(p: Passage, rng: random.Random) -> Asked | None:
    asked = [a for s in p.sentences for a in rule.how_many(s)]
    return rng.choice(asked) if asked else None


def question(p: Passage, rng: random.Random) -> Asked | None:
    """Gives a question whose answer is a span of the passage, or None after a few tries."""
    makers = rng.choices((_subject, _number, _continuation), (0.4, 0.3, 0.3), k=6)
    return next((a for make in makers if (a := make(p, rng)) and a.answer in p.text), None)


def exqa(p: Passage, rng: random.Random) -> Made:
    """Extractive question answering: a question and the span of the passage that answers it."""
    asked = question(p, rng)
    wording = rng.choice(
        (
            "{c}\n\nQuestion: {q}\nAnswer with words from the passage.",
            "Read the passage and answer the question with words from it.\n\n{c}\n\nQuestion: {q}",
            "{c}\n\nAnswer this question from the text: {q}",
            "Passage: {c}\nQuestion: {q}\nAnswer:",
            "Find the answer to the question in the text.\n\n{c}\n\nQuestion: {q}",
            "{c}\n\nQuestion: {q}\nCopy the answer from the passage.",
        )
    )
    return asked and (wording.format(c=CONTEXT_SLOT, q=asked.question), asked.answer)


def qg(p: Passage, rng: random.Random) -> Made:
    """Question generation: an answer from the passage and a question that it answers."""
    asked = question(p, rng)
    wording = rng.choice(
        (
            '{c}\n\nWrite a question about this passage whose answer is "{a}".',
            'Ask a question to which the text answers "{a}".\n\n{c}',
            '{c}\n\nThe answer is "{a}". What was the question?',
            "Passage: {c}\nAnswer: {a}\nQuestion:",
        )
    )
    return asked and (wording.format(c=CONTEXT_SLOT, a=asked.answer), asked.question)


def qa(p: Passage, rng: random.Random) -> Made:
    """Question answering without choices: what the passage says of a thing, as a whole sentence."""
    sentence = rng.choice(p.sentences)
    parts = rule.subject_and_rest(sentence)
    if parts is None:
        return None
    first, _, rest = parts[0].partition(" ")
    topic = f"{rule.lowered(first)} {rest}".strip()
    wording = rng.choice(
        (
            "{c}\n\nWhat does the passage say about {t}?",
            "Use the text to answer the question.\n\n{c}\n\nQuestion: What do we learn about {t}?",
            "{c}\n\nQuestion: What is said about {t}?\nAnswer in one sentence.",
            "Question: What can you tell me about {t}?\nText: {c}\nAnswer:",
        )
    )
    return wording.format(c=CONTEXT_SLOT, t=topic), sentence


def _numbers(answer: str, rng: random.Random) -> list[str]:
    """Gives three different numbers of one kind, the answer among them, in random order."""
    found = [answer]
    while len(found) < 3:
        other = rule.other_number(answer, rng)
        if other not in found:
            found.append(other)
    rng.shuffle(found)
    return found


def _mentioned(p: Passage, rng: random.Random) -> tuple[str, list[str], str] | None:
    """Gives the question which of three things the passage names; two are from elsewhere."""
    found = [word for s in p.sentences for word in re.findall(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b", s)]
    for sentence in p.sentences:
        found += re.findall(
            r"\b(?:\d+|[a-z]+) (?:days|weeks|months|years|hours|minutes)\b", sentence
        )
        parts = rule.subject_and_rest(sentence)
        if parts and parts[0].startswith(("The ", "A ")) and len(parts[0].split()) <= 4:
            found.append(parts[0][0].lower() + parts[0][1:])
    if not found:
        return None
    answer = rng.choice(found)
    options = [answer]
    while len(options) < 3:
        other = grammar.thing(answer, rng)
        if other.lower() not in p.text.lower() and other not in options:
            options.append(other)
    rng.shuffle(options)
    return "Which of these is mentioned in the passage?", options, answer


def _choices(p: Passage, rng: random.Random) -> tuple[str, list[str], str] | None:
    """Gives a question, its options and the right one; options from the text are in its order."""
    kind = rng.random()
    if kind > 0.65 and (made := _mentioned(p, rng)):
        return made
    if kind < 0.3 and (asked := _number(p, rng)):
        return asked.question, _numbers(asked.answer, rng), asked.answer
    order = sorted(rng.sample(range(len(p.sentences)), min(3, len(p.sentences))))
    if kind < 0.5:
        all_asked = [rule.who_or_what(p.sentences[i]) for i in order]
        options = [a.answer for a in all_asked if a]
        if len(options) > 1 and len(set(options)) == len(options):
            asked = rng.choice([a for a in all_asked if a])
            return asked.question, options, asked.answer
    splits = [s for i in order if (s := rule.split_at(p.sentences[i], rng))]
    options = [s[1] for s in splits]
    if len(set(options)) < 2 or len(set(options)) < len(options) or '"' in "".join(options):
        return None
    beginning, answer = rng.choice(splits)
    return f'How does the sentence "{beginning} ..." end?', options, answer


def mcqa(p: Passage, rng: random.Random) -> Made:
    """Multiple-choice question answering: a question, two or three options, the right one."""
    made = _choices(p, rng)
    if made is None or '"' in made[0].replace('"', "", 2):
        return None
    asked, options, answer = made
    if rng.random() < 0.7:
        listed = "\n".join(f"- {o}" for o in options)
        wording = rng.choice(
            (
                "{c}\n\nQuestion: {q}\nOptions:\n{o}",
                "Read the passage and choose the right answer.\n\n{c}\n\nQuestion: {q}\n{o}",
                "{c}\n\n{q} Choose one of these:\n{o}",
            )
        )
    else:
        listed = "\n".join(f"{letter}: {o}" for letter, o in zip("ABC", options, strict=False))
        answer = "ABC"[options.index(answer)]
        wording = rng.choice(
            (
                "{c}\n\nQuestion: {q}\n{o}\nAnswer with the letter.",
                "Choose the letter of the right answer.\n\n{c}\n\nQuestion: {q}\n{o}",
            )
        )
    return wording.format(c=CONTEXT_SLOT, q=asked, o=listed), answer


# Statements: true, false, and neither


NEITHER = (
    "{s} will be the subject of a film next year.",
    "{s} has been described in a famous book.",
    "{s} is better known in other countries.",
    "Many people have asked about {l} before.",
    "A neighbour once took a photo of {l}.",
    "The newspaper wrote about {l} last week.",
    "Nobody in the family likes to talk about {l}.",
    "There was a long debate about {l} on the radio.",
    "A student is writing an essay about {l}.",
    "The weather was fine on the day when this was written.",
    "The writer of this text lives by the sea.",
    "Most readers already knew this.",
    "The text was later translated into French.",
    "A second part of this text will follow soon.",
    "The author wrote the text in a single afternoon.",
    "Some experts do not agree with this text.",
)


def _neither(p: Passage, rng: random.Random) -> str:
    parts = rule.subject_and_rest(rng.choice(p.sentences))
    if parts is None or len(parts[0].split()) > 5:
        return rng.choice([n for n in NEITHER if "{" not in n])
    first, _, rest = parts[0].partition(" ")
    return rng.choice(NEITHER).format(s=parts[0], l=f"{rule.lowered(first)} {rest}".strip())


def _claim(p: Passage, rng: random.Random, label: int) -> str | None:
    """Gives a statement that the passage makes (0), contradicts (1) or leaves open (2)."""
    if label == 2:
        return _neither(p, rng)
    plain = [s for s in p.sentences if '"' not in s and not s.endswith("?")]
    if not plain or len(p.sentences) == 1:
        return None
    return _false(plain, rng) if label else rng.choice(plain)


def _false(plain: list[str], rng: random.Random) -> str | None:
    """Gives a false twin of one of the sentences; most by a "not", the easiest to recognise."""
    negated = [n for s in plain if (n := rule.negated(s))]
    if negated and rng.random() < 0.7:
        return rng.choice(negated)
    return rule.falsified(rng.choice(plain), rng)


def ynqa(p: Passage, rng: random.Random) -> Made:
    """Yes-no question answering: a sentence of the passage or its false twin as a question."""
    label = rng.randrange(2)
    claim = _claim(p, rng, label)
    if claim is None:
        return None
    asked = rule.inverted(claim)
    if asked and rng.random() < 0.6:
        wording = rng.choice(
            (
                "{c}\n\nQuestion: {q} Yes or No?",
                "Read the text and answer Yes or No.\n\n{c}\n\nQuestion: {q}",
                "{c}\n\nAnswer Yes or No: {q}",
                "Passage: {c}\nQuestion: {q}\nAnswer Yes or No.",
            )
        )
        return wording.format(c=CONTEXT_SLOT, q=asked), ("Yes", "No")[label]
    wording, labels = rng.choice(
        (
            ('{c}\n\nQuestion: Is it true that "{s}"? Yes or No?', ("Yes", "No")),
            ('{c}\n\nDoes the passage say that "{s}"? Answer Yes or No.', ("Yes", "No")),
            ('{c}\n\nTrue or False: "{s}"', ("True", "False")),
            ('Read the text.\n\n{c}\n\nIs the statement "{s}" True or False?', ("True", "False")),
        )
    )
    return wording.format(c=CONTEXT_SLOT, s=rule.body(claim)), labels[label]


# Label triples stand in the order: follows, contradicted, open.
TRIPLES = (
    ("Yes", "No", "Maybe"),
    ("True", "False", "Inconclusive"),
    ("Correct", "Incorrect", "Inconclusive"),
    ("Always", "Never", "Sometimes"),
)


def nli(p: Passage, rng: random.Random) -> Made:
    """Natural language inference: a claim that follows, is contradicted, or is left open."""
    label = rng.randrange(3)
    claim = _claim(p, rng, label)
    if claim is None:
        return None
    labels = rng.choices(TRIPLES, (6, 3, 1, 1))[0]
    wording = rng.choice(
        (
            '{c}\n\nDoes it follow that "{s}"? {a}, {b} or {d}?',
            '{c}\n\nBased on the passage, is the claim "{s}" right? {a}, {b} or {d}?',
            'Suppose that this is true: {c}\n\nCan we then say that "{s}"? {a}, {b} or {d}?',
            'Premise: {c}\nHypothesis: "{s}"\nDoes the hypothesis follow? {a}, {b} or {d}?',
            '{c}\n\nGiven this text, what about "{s}"? Answer {a}, {b} or {d}.',
        )
    )
    filled = wording.format(
        c=CONTEXT_SLOT, s=rule.body(claim), a=labels[0], b=labels[1], d=labels[2]
    )
    return filled, labels[label]


def te(p: Passage, rng: random.Random) -> Made:
    """Textual entailment: a claim that the passage supports or does not."""
    label = rng.randrange(2)
    claim = _claim(p, rng, label and rng.choice((1, 2)))
    if claim is None:
        return None
    wording, labels = rng.choice(
        (
            ('{c}\n\nDoes this text mean that "{s}"? Yes or No?', ("Yes", "No")),
            ('{c}\n\nCan we conclude that "{s}"? Yes or No?', ("Yes", "No")),
            ('Text: {c}\nClaim: "{s}"\nDoes the text support the claim? Yes or No?', ("Yes", "No")),
            ('{c}\n\nClaim: "{s}"\nIs the claim supported? True or False?', ("True", "False")),
        )
    )
    return wording.format(c=CONTEXT_SLOT, s=rule.body(claim)), labels[label]


def paraphrase_id(p: Passage, rng: random.Random) -> Made:
    """Paraphrase identification: a sentence of the passage reworded, or changed in meaning."""
    label = rng.randrange(2)
    sentence = rng.choice(p.sentences)
    if '"' in sentence:
        return None
    other = _false([sentence], rng) if label else rule.reworded(sentence)
    if other is None:
        return None
    wording = rng.choice(
        (
            'Text: {c}\nSentence: "{s}"\nDoes the sentence reword a part of the text? Yes or No?',
            '{c}\n\nDoes "{s}" mean the same as a sentence of this text? Yes or No?',
            '{c}\n\nIs "{s}" a paraphrase of what the text says? Answer Yes or No.',
        )
    )
    return wording.format(c=CONTEXT_SLOT, s=rule.body(other)), ("Yes", "No")[label]


def paraphrase(p: Passage, rng: random.Random) -> Made:
    """Paraphrase generation: the first or last sentence in other words."""
    place, sentence = rng.choice((("first", p.sentences[0]), ("last", p.sentences[-1])))
    wording = rng.choice(
        (
            "{c}\n\nSay the {p} sentence of this text in other words.",
            "Reword the {p} sentence of the passage.\n\n{c}",
            "{c}\n\nParaphrase the {p} sentence.",
        )
    )
    return wording.format(c=CONTEXT_SLOT, p=place), rule.reworded(sentence)


def sent_comp(p: Passage, rng: random.Random) -> Made:
    """Sentence completion: the beginning of a sentence of the passage and its end."""
    parts = rule.split_at(rng.choice(p.sentences), rng)
    if parts is None:
        return None
    beginning, ending = parts
    others = [s[1] for s in (rule.split_at(o, rng) for o in p.sentences) if s]
    others = [o for o in others if o not in ending and ending not in o]
    if others and rng.random() < 0.4:
        pair = [ending, rng.choice(others)]
        rng.shuffle(pair)
        wording = rng.choice(
            (
                "{c}\n\nWhich ending fits? {b} ...\n- {x}\n- {y}",
                "Choose the right ending for the sentence.\n\n{c}\n\n{b} ...\n- {x}\n- {y}",
            )
        )
        return wording.format(c=CONTEXT_SLOT, b=beginning, x=pair[0], y=pair[1]), ending
    wording = rng.choice(
        (
            "{c}\n\nComplete the sentence: {b} ...",
            "Finish the sentence with the help of the text.\n\n{c}\n\nSentence: {b} ...",
            "{c}\n\nHow does this sentence go on? {b} ...",
        )
    )
    return wording.format(c=CONTEXT_SLOT, b=beginning), ending


def summarization(p: Passage, rng: random.Random) -> Made:
    """Summarization by the first sentence, which in most passages says what they are about."""
    wording = rng.choice(
        (
            "{c}\n\nSummarize this text in one sentence.",
            "What is the main point of this passage?\n\n{c}",
            "{c}\n\nGive a short summary.",
            "Text: {c}\nSummary:",
            "In one sentence, what is the following text about?\n\n{c}",
        )
    )
    return wording.format(c=CONTEXT_SLOT), p.sentences[0]


def text_gen(p: Passage, rng: random.Random) -> Made:
    """Text generation: the beginnings of the sentences as notes; the passage is the answer."""
    points = []
    for sentence in p.sentences[:4]:
        parts = rule.split_at(sentence, rng)
        points.append(parts[0] if parts else rule.body(sentence))
    wording = rng.choice(
        (
            "Write a short text that makes these points:\n{p}",
            "Use these notes to write a paragraph:\n{p}",
            "Write a passage with one sentence for each beginning:\n{p}",
        )
    )
    return wording.format(p="\n".join(f"- {point}" for point in points)), CONTEXT_SLOT


# Closed sets of labels

_TOPIC_WORDS: dict[str, str] = {
    "privacy": "privacy personal data information collect cookies consent account email delete",
    "law": "agreement contract party shall clause court law liable contractor legal act tenant",
    "health": "patient clinic doctor dr pain treatment disease hospital tablet blood medical nurse",
    "technology": "app phone settings device password software screen update server computer",
    "nature": "river animal bird species water plant leaves nest forest trees eggs feeds insects",
    "food": "bake bread flour butter kitchen soup dough cook oven recipe salt sugar eat milk",
    "history": "museum century war built king clock old founded town historical collection ancient",
    "travel": "train bus ticket passengers ferry journey station airport road travel tram flight",
    "education": "school teacher pupils students class library books university lessons course",
    "sport": "team club league game season player match football won goals coach cup players",
    "business": "company bank money market price card payment business sales customers shares",
    "entertainment": "film album song music series show actor episode band character television",
}  # fmt: skip
TOPICS = tuple(_TOPIC_WORDS)
_WORD_TOPIC = {word: topic for topic, words in _TOPIC_WORDS.items() for word in words.split()}


def topic_of(text: str) -> str | None:
    """Gives the topic with the most key words in `text`, or None without a clear winner."""
    counts: dict[str, int] = {}
    for word in re.findall(r"[a-z]+", text.lower()):
        if topic := _WORD_TOPIC.get(word):
            counts[topic] = counts.get(topic, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    clear = ranked and ranked[0][1] >= 2 and (len(ranked) == 1 or ranked[0][1] > ranked[1][1])
    return ranked[0][0] if clear else None


def topic_class(p: Passage, rng: random.Random) -> Made:
    """Topic classification over a closed set of topics."""
    if p.topic not in TOPICS:
        return None
    few = rng.random() < 0.5
    shown = sorted({p.topic, *rng.sample(TOPICS, 3)}) if few else list(TOPICS)
    wording = rng.choice(
        (
            "{c}\n\nWhich topic does this text belong to? {o}?",
            "What is this passage about? Choose one: {o}.\n\n{c}",
            "{c}\n\nTopics: {o}\nTopic of the text:",
        )
    )
    listed = ", ".join(shown[:-1]) + " or " + shown[-1]
    return wording.format(c=CONTEXT_SLOT, o=listed), p.topic


_GOOD = set(
    "friendly excellent wonderful delicious comfortable helpful lovely love enjoyed recommend "
    "great happy best beautiful praised pleased acclaimed positive success award won".split()
)
_BAD = set(
    "rude terrible disappointing broken dirty awful noisy unhappy waste nobody worst failed bad "
    "pain fever damage negative poor death war killed disease lost angry fire storm illness".split()
)


def mood_of(text: str) -> str:
    """Gives positive, negative or neutral, by the count of opinion words in `text`."""
    words = re.findall(r"[a-z]+", text.lower())
    score = sum(w in _GOOD for w in words) - sum(w in _BAD for w in words)
    return "positive" if score > 0 else "negative" if score < 0 else "neutral"


def sentiment(p: Passage, rng: random.Random) -> Made:
    """Sentiment by the words of praise and complaint; half of the neutral passages are left out."""
    mood = mood_of(p.text)
    if mood == "neutral" and rng.random() < 0.5:
        return None
    wording = rng.choice(
        (
            "{c}\n\nIs the tone of this text positive, negative or neutral?",
            "Does the writer feel positive, negative or neutral?\n\n{c}",
            "{c}\n\nSentiment (positive, negative or neutral):",
        )
    )
    return wording.format(c=CONTEXT_SLOT), mood


# Words in context

_PRONOUNS = {"It", "They", "He", "She", "it", "they", "he", "she", "Its", "His", "Her", "Their",
             "its", "his", "her", "their"}  # fmt: skip


def coref(p: Passage, rng: random.Random) -> Made:
    """Coreference resolution: whether a pronoun that opens a sentence means a given subject."""
    places = []
    for i, sentence in enumerate(p.sentences[1:], 1):
        words = sentence.split()
        before = rule.subject_and_rest(p.sentences[i - 1])
        if before and words[0] in _PRONOUNS and len(words) > 4 and '"' not in sentence:
            places.append((words, before[0], i))
    if not places:
        return None
    words, subject, i = rng.choice(places)
    label = rng.randrange(2)
    if label:
        others = [
            s[0]
            for j, o in enumerate(p.sentences)
            if j != i - 1 and (s := rule.subject_and_rest(o))
        ]
        others = [o for o in others if o != subject] or [
            f"the {rng.choice(('writer', 'reader', 'door', 'house', 'weather'))}"
        ]
        subject = rng.choice(others)
    first, _, rest = subject.partition(" ")
    named = f"{rule.lowered(first)} {rest}".strip()
    wording = rng.choice(
        (
            '{c}\n\nIn "{s}", does "{w}" mean {n}? Yes or No?',
            '{c}\n\nDoes the word "{w}" in "{s}" stand for {n}? Answer Yes or No.',
        )
    )
    shown = " ".join(words[: rng.randint(3, 6)]).rstrip(".,;")
    return wording.format(c=CONTEXT_SLOT, s=shown, w=words[0], n=named), ("Yes", "No")[label]


# Words with two meanings, each with a sentence for either.
_SENSES: dict[str, tuple[str, str]] = {
    "bank": ("The bank lends money to farmers.", "We sat on the bank of the stream."),
    "light": ("The lamp gives a soft light.", "The bag is light and easy to carry."),
    "match": ("Our team lost the match.", "He lit the candle with a match."),
    "spring": ("In spring the apple trees flower.", "A spring in the old clock has broken."),
    "letter": ("She posted the letter this morning.", "The word begins with the letter B."),
    "page": ("Turn to the next page of the book.", "The page carried the king's sword."),
    "room": ("The room has two windows.", "There is no room for another chair."),
    "party": ("They danced at the party.", "Each party signs the contract."),
    "hold": ("Please hold the rope.", "The ship's hold was full of coal."),
    "case": ("The case went to court.", "She packed her case for the trip."),
    "point": ("The pencil has a sharp point.", "He made a good point in his speech."),
    "plant": ("The plant needs water.", "The plant builds two hundred cars a day."),
    "bill": ("The bill came to forty euros.", "The duck has a yellow bill."),
    "store": ("We store the wood in the shed.", "The store sells shoes."),
    "charge": ("Entry is free of charge.", "The phone needs a full charge."),
    "well": ("She plays the piano well.", "They draw water from the well."),
    "can": ("You can stay here.", "He opened a can of beans."),
    "may": ("You may sit down.", "The fair takes place in May."),
    "last": ("The last bus has left.", "The shoes will last for years."),
    "open": ("The shop is open.", "Please open the window."),
    "water": ("Drink a glass of water.", "They water the roses at dusk."),
    "time": ("There is no time to lose.", "They time the runners with a watch."),
    "use": ("We use a hammer.", "The old tools are of no use."),
    "data": ("The data are kept on a disk.", "The data show a clear trend."),
    "number": ("The number seven is lucky.", "A great number of guests came."),
    "day": ("The shop is open every day.", "Owls sleep during the day."),
    "years": ("The house is ten years old.", "She spent her last years abroad."),
    "made": ("The chair is made of oak.", "He made a short speech."),
    "first": ("The first guest came early.", "She came first in the race."),
    "part": ("The second part is longer.", "They part as friends."),
    "name": ("Write your name here.", "Please name three rivers."),
    "work": ("They work on a farm.", "The painting is his best work."),
    "service": ("The service was quick.", "The church service begins at ten."),
    "information": ("Ask at the desk for information.", "The sign gives information on tides."),
    "long": ("The road is long.", "They long for peace."),
    "kind": ("She is kind to animals.", "What kind of tea is this?"),
    "left": ("Turn left at the corner.", "He left the room."),
    "right": ("Turn right at the corner.", "You have the right to know."),
}  # fmt: skip


def wsd(p: Passage, rng: random.Random) -> Made:
    """Word sense disambiguation: a word of the passage and a second sentence that holds it."""
    present = [w for w in _SENSES if re.search(rf"(?<=\s){re.escape(w)}(?=[\s.,])", p.text)]
    if not present:
        return None
    word = rng.choice(present)
    label = rng.randrange(2)
    if label:
        other = _SENSES[word][1]
    else:
        other = next(s for s in p.sentences if re.search(rf"(?<=\s){re.escape(word)}(?=[\s.,])", s))
    if '"' in other:
        return None
    wording = rng.choice(
        (
            '{c}\n\nSentence: "{s}"\nDoes "{w}" mean the same in both? Yes or No?',
            '{c}\n\nIs the word "{w}" used in the same sense in "{s}"? Yes or No?',
        )
    )
    return wording.format(c=CONTEXT_SLOT, s=rule.body(other), w=word), ("Yes", "No")[label]


MAKERS: dict[str, Callable[[Passage, random.Random], Made]] = {
    "exqa": exqa, "mcqa": mcqa, "qg": qg, "qa": qa, "ynqa": ynqa, "coref": coref,
    "paraphrase": paraphrase, "paraphrase_id": paraphrase_id, "sent_comp": sent_comp,
    "sentiment": sentiment, "summarization": summarization, "text_gen": text_gen,
    "topic_class": topic_class, "wsd": wsd, "te": te, "nli": nli,
}  # fmt: skip

# Shares of the training pairs: most for the types that the demonstration uses.
SHARES: dict[str, float] = {
    "exqa": 4, "ynqa": 4, "nli": 4, "mcqa": 4, "te": 1.5, "qg": 1.5, "sent_comp": 1.2, "qa": 1,
    "paraphrase_id": 1.2, "summarization": 0.6, "text_gen": 0.8, "topic_class": 0.8,
    "sentiment": 0.8, "coref": 0.6, "paraphrase": 0.6, "wsd": 0.5,
}  # fmt: skip


def make(task_type: str, p: Passage, rng: random.Random) -> Made:
    """Gives an instruction and answer of `task_type` for `p`, or None where none can be made."""
    for _ in range(4):
        if made := MAKERS[task_type](p, rng):
            return made
    return None
