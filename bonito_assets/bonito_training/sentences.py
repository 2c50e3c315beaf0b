"""What can be asked of one sentence by rule: its parts, a false twin, a rewording.

Every function copies words of the sentence unchanged wherever it can. A small network learns to
copy long before it learns anything else, so what is asked here can be answered by copying.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from bonito_assets.bonito_training import grammar

_NUMBER_WORDS = {
    *grammar.NUMBER_WORDS,
    *"thirteen fourteen sixteen seventeen eighteen nineteen".split(),
    *"fifty sixty seventy eighty ninety".split(),
}
_AUXILIARIES = set(
    (
        "is are was were can may must will shall should has have had could would cannot does do did"
    ).split()
)
# Verbs that mark the end of a subject, beside the auxiliaries.
_VERBS = set(
    (
        "adds allows answers appears arrives asks bakes becomes begins bears blocks brings "
        "builds buys calls carries catches checks chooses closes collects comes connects "
        "contains controls costs covers cuts decides describes drinks drives eats ends "
        "explains falls feeds fills finds flies flowers follows gets gives goes grows has "
        "helps hides holds hunts includes installs keeps kills knows lays leads learns leaves "
        "lends lets lies lights lists lives looks loses makes means measures meets needs "
        "offers opens orders owns pays plays prescribes prints protects provides pulls pushes "
        "puts reads receives records removes repairs requires rests returns rises runs says "
        "sees sells sends serves shares shows sits sleeps speaks stands starts stays stops "
        "stores suffers swims takes teaches tells trains travels turns uses visits wakes "
        "walks wants washes watches wears weighs winds works writes began became bought broke "
        "brought built called came carried caused chose closed collected cost counted died "
        "ended fell finished found founded gave grew held helped kept learned left lent lived "
        "lost made met moved opened owned paid played produced published ran received "
        "released repaired sent served showed sold stood started stopped taught thought told "
        "took turned used visited walked won worked wrote collect keep share store use sell "
        "send need give take make feed live grow eat hunt open show allow require provide "
        "include contain"
    ).split()
)
_NOT_A_SUBJECT = set(
    (
        "it they he she we i you there this that these those if when while after before in on "
        "at for from with during by to as however although because since but and or so then "
        "what who how where which why not please"
    ).split()
)

# Words that show that a subject has ended, though its verb was not known.
_INSIDE = {"because", "that", "which", "who", "when", "if", "it", "they", "he", "she", "to", "not"}
# Words that lose their capital inside a sentence.
_DETERMINERS = set(
    (
        "The A An Our Your Their His Her Its My Each Every All Both Some Many Most No Any "
        "Only These Those This That Children Members Visitors Passengers People Guests "
        "Patients Users It They He She We You There One Two Three Four Five Six"
    ).split()
)
_OPPOSITES = {
    **{a: b for pair in (
        "before after", "more less", "first last", "open closed", "opens closes", "warm cold",
        "day night", "morning evening", "north south", "east west", "always never", "free paid",
        "large small", "long short", "high low", "old new", "young old", "above below", "in out",
        "begin end", "begins ends", "best worst", "early late", "same different", "wet dry",
        "allowed forbidden", "male female", "public private", "inside outside", "clean dirty",
        "increase decrease", "increased decreased", "hot cold", "light dark", "summer winter",
        "spring autumn", "black white", "red green", "blue yellow", "left right", "with without",
        "good bad", "happy unhappy", "strong weak", "buy sell", "major minor",
        "most least", "higher lower", "fast slow", "near far", "mother father", "son daughter",
    ) for a, b in (pair.split(), pair.split()[::-1])},
}  # fmt: skip
_NEGATED = {"cannot": "can", "never": "always", "always": "never", "no": "some", "No": "Some"}
# Verbs that take "not" right after them.
_NEGATABLE = set("is are was were can may must will shall should could would".split())
_EDGE = re.compile(r"^([(\"']*)(.*?)([)\"'.,;:!?]*)$")


@dataclass(frozen=True)
class Asked:
    """A question whose answer stands, word for word, in the sentence it was made from."""

    question: str
    answer: str


def _split(word: str) -> tuple[str, str, str]:
    match = _EDGE.match(word)
    assert match
    return match[1], match[2], match[3]


def body(sentence: str) -> str:
    """Gives `sentence` without its closing mark."""
    return sentence.rstrip(".!? ")


def is_number(word: str) -> bool:
    """True for a number in figures or a number word above one."""
    return bool(re.fullmatch(r"\d{1,3}(,\d{3})*|\d+", word)) or word.lower() in _NUMBER_WORDS


def subject_and_rest(sentence: str) -> tuple[str, str] | None:
    """Gives the subject of a plain sentence and the rest from its verb on, or None.

    The subject is what stands before the first known verb; pronouns and clauses are refused.
    """
    words = body(sentence).split()
    if words[0].lower().strip("\"',") in _NOT_A_SUBJECT or '"' in sentence:
        return None
    for i, word in enumerate(words[1:8], 1):
        if word in _AUXILIARIES or (i > 1 and word in _VERBS) or (word in _VERBS and i == 1):
            rest = words[i:]
            if words[:i] in (["The"], ["A"], ["An"], ["Our"], ["Your"], ["Their"], ["His"]):
                return None
            if len(rest) < 2 or any("," in w or "(" in w or w in _INSIDE for w in words[:i]):
                return None
            return " ".join(words[:i]), " ".join(rest)
    return None


def split_at(sentence: str, rng: random.Random) -> tuple[str, str] | None:
    """Gives a beginning of 3 to 12 words and the 1 to 9 words up to the sentence's end."""
    words = body(sentence).split()
    places = [i for i in range(3, min(len(words), 13)) if 1 <= len(words) - i <= 9]
    places = [i for i in places if _split(words[i - 1])[2] == "" and words[i - 1] != "-"]
    good = [i for i in places if words[i].lower() in _OPENERS or words[i - 1] in _VERBS]
    if not places:
        return None
    i = rng.choice(good or places)
    return " ".join(words[:i]), " ".join(words[i:])


_OPENERS = set(
    (
        "a an the for at in on to with by from until after before when because if unless and "
        "that which of our your his her its their into under over between about as than "
        "during without only"
    ).split()
)


def how_many(sentence: str) -> list[Asked]:
    """Gives a question "... how many ...?" for every counted thing; the answer is the number."""
    words = body(sentence).split()
    found = []
    for i, word in enumerate(words[:-1]):
        following = _split(words[i + 1])[1]
        counted = following.islower() and (following.endswith("s") or following in _COUNTED)
        if is_number(word) and counted and i > 0 and not is_number(words[i - 1]):
            found.append(Asked(" ".join([*words[:i], "how many", *words[i + 1 :]]) + "?", word))
    return found


_COUNTED = {"percent", "people", "children", "men", "women", "million", "young", "feet", "pence"}


def who_or_what(sentence: str) -> Asked | None:
    """Gives the question for the subject of `sentence`; the answer is the subject."""
    parts = subject_and_rest(sentence)
    if parts is None or len(parts[1].split()) > 16:
        return None
    return Asked(f"Who or what {parts[1]}?", parts[0])


def inverted(sentence: str) -> str | None:
    """Gives the yes/no question of a sentence whose verb is an auxiliary ("The sky is blue")."""
    words = body(sentence).split()
    if any(c in sentence for c in '";:()'):
        return None
    for i, word in enumerate(words[1:7], 1):
        if word in _NEGATABLE:
            if words[0].lower() in _NOT_A_SUBJECT - {"it", "they", "he", "she", "we", "there"}:
                return None
            if "," in " ".join(words[:i]) or i + 1 >= len(words) or words[i + 1] == "not":
                return None
            subject = [lowered(words[0]), *words[1:i]]
            return " ".join([word.capitalize(), *subject, *words[i + 1 :]]) + "?"
        if word in _VERBS or word in _AUXILIARIES:
            return None
    return None


def lowered(word: str) -> str:
    """Gives `word` as it is written inside a sentence."""
    return word.lower() if word in _DETERMINERS else word


def negated(sentence: str) -> str | None:
    """Gives `sentence` with a "not" put after its auxiliary, or taken out; None without one."""
    words = sentence.split()
    for i, word in enumerate(words[:-1]):
        if i > 0 and word in _NEGATABLE:
            rest = words[i + 1 :]
            return " ".join([*words[: i + 1], *(rest[1:] if rest[0] == "not" else ["not", *rest])])
    return None


def falsified(sentence: str, rng: random.Random) -> str | None:
    """Gives `sentence` with one word changed so that it contradicts the original, or None.

    A number, day, month, opposite or name is exchanged.
    """
    words = sentence.split()
    changes: list[list[str]] = []
    names: list[list[str]] = []
    for i, word in enumerate(words):
        before, core, after = _split(word)
        other = None
        if is_number(core):
            while other in (None, core):
                other = other_number(core, rng)
        elif core in grammar.DAYS or (core in grammar.MONTHS and (core != "May" or i > 0)):
            pool = grammar.DAYS if core in grammar.DAYS else grammar.MONTHS
            other = rng.choice([w for w in pool if w != core])
        elif core in _NEGATED:
            other = _NEGATED[core]
        elif core in _OPPOSITES and core not in ("in", "out"):
            other = _OPPOSITES[core]
        if other:
            changes.append([*words[:i], before + other + after, *words[i + 1 :]])
        elif i > 0 and re.fullmatch(r"[A-Z][a-z]{3,}", core):
            name = grammar.surname(rng)
            names.append([*words[:i], before + name + after, *words[i + 1 :]])
    if names and (not changes or rng.random() < 0.2):
        changes = names
    if not changes:
        return None
    changed = " ".join(rng.choice(changes))
    return changed[0].upper() + changed[1:]


def other_number(number: str, rng: random.Random) -> str:
    """Gives a random number of the kind of `number`: a word, a year, or as many figures."""
    if number.lower() in _NUMBER_WORDS:
        return rng.choice(grammar.NUMBER_WORDS)
    if re.fullmatch(r"1[5-9]\d\d|20\d\d", number):
        return str(int(number) + rng.choice((-40, -12, -7, -3, 2, 5, 9, 21)))
    size = len(number.replace(",", ""))
    value = rng.randint(10 ** (size - 1) + (size == 1), 10**size - 1)
    return f"{value:,}" if "," in number else str(value)


_REWORDED = {
    "must not": "is not allowed to", "must": "has to", "may not": "is not allowed to",
    "may": "is allowed to", "can": "is able to", "cannot": "is unable to", "shall": "has to",
    "about": "roughly", "every": "each", "also": "as well", "begins": "starts", "ends": "finishes",
    "big": "large", "buy": "purchase", "costs": "has a price of", "near": "close to",
    "needs": "requires", "often": "frequently", "shows": "displays", "after": "once it is past",
    "many": "a lot of", "keep": "hold on to", "used": "made use of", "because": "since",
    "more than": "over", "at least": "no fewer than", "for": "for a total of", "is": "is indeed",
    "are": "are indeed", "was": "was indeed", "were": "were indeed", "has": "certainly has",
    "have": "certainly have", "will": "is going to",
}  # fmt: skip


def reworded(sentence: str) -> str:
    """Gives `sentence` in other words: the first known phrase exchanged, else a spoken frame."""
    for phrase, other in _REWORDED.items():
        found = re.search(rf"(?<=\S ){re.escape(phrase)}(?= \S)", sentence)
        if found:
            return sentence[: found.start()] + other + sentence[found.end() :]
    first, _, rest = sentence.partition(" ")
    return f"It is said that {lowered(first)} {rest}"
