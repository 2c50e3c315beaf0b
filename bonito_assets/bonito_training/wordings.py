"""Wordings that turn a row of an annotated data set into a task: instruction and answer.

A wording is a format string over the fields of its form. ``{context}`` is where the passage goes;
the pair holds the literal ``{{context}}`` there, once, in the instruction or (text generation) in
the answer. All wordings are the project's own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """One way to ask: ``name`` says form and wording, ``labels`` are its words for label 0, 1, ...

    ``{label}`` stands for the label's word. Without words of the wording's own they are those of
    the data set, and ``{labels}`` is all of them. With ``only_label`` it serves rows of that label.
    """

    name: str
    task_type: str
    instruction: str
    answer: str
    labels: tuple[str, ...] = ()
    only_label: int | None = None


def _named(form: str, *wordings: tuple) -> tuple[Wording, ...]:
    """Gives wordings numbered within their form and task type: ``squad/exqa-1``."""
    made: list[Wording] = []
    for wording in wordings:
        number = 1 + sum(other.task_type == wording[0] for other in made)
        made.append(Wording(f"{form}/{wording[0]}-{number}", *wording))
    return tuple(made)


_NO_YES = ("No", "Yes")
_YES_NO = ("Yes", "No")
_FALSE_TRUE = ("False", "True")
_TRUE_FALSE = ("True", "False")
_YES_MAYBE_NO = ("Yes", "Maybe", "No")
_TRUE_OPEN_FALSE = ("True", "Inconclusive", "False")

# Fields: context, question, answer (a span of the context).
SQUAD = _named(
    "squad",
    ("exqa", "{context}\n\nUsing words of the text alone: {question}", "{answer}"),
    ("exqa", "Question: {question}\n\nThe answer is in here:\n{context}\n\nAnswer:", "{answer}"),
    ("exqa", "Read this.\n{context}\nNow tell me, {question}", "{answer}"),
    ("exqa", "{context}\n\nFind the words that settle this question: {question}", "{answer}"),
    ("exqa", "{question}\n\nCopy your reply from the following text.\n\n{context}", "{answer}"),
    ("qg", "{context}\n\nThink of a question that this text can answer.", "{question}"),
    ("qg", '{context}\n\nAsk something to which "{answer}" is the reply.', "{question}"),
    ("qg", "Set an exam question about this text:\n{context}\n\nExpected: {answer}", "{question}"),
    ("qa", "{context}\n\nA reader wants to know: {question} What do you say?", "{answer}"),
)

# Fields: context, question, options (the choices, one per line with a letter), dashes (the same
# with dashes), letter and answer (the text of the right choice).
MULTIPLE_CHOICE = _named(
    "multiple_choice",
    ("mcqa", "{context}\n\n{question}\n\nPick one:\n{options}", "{letter}"),
    ("mcqa", "{context}\n\nQuestion: {question}\nPossible answers:\n{dashes}", "{answer}"),
    ("mcqa", "{question}\n{options}\n\nDecide by this text:\n{context}", "{letter}"),
    ("mcqa", "{context}\n\nWhich of these is the answer to: {question}\n{options}", "{answer}"),
    ("qa", "{context}\n\n{question} Reply in a few words.", "{answer}"),
    ("qa", "Go by the text and answer: {question}\n\n{context}", "{answer}"),
)

# Fields: context, question; label 0 is no, 1 is yes.
BOOLQ = _named(
    "boolq",
    ("ynqa", "{context}\n\nGoing by this: {question} Yes or No?", "{label}", _NO_YES),
    ("ynqa", "{context}\n\nQuestion: {question}\nReply with Yes or No.", "{label}", _NO_YES),
    ("ynqa", "{question}\n\nSay Yes or No after reading:\n{context}", "{label}", _NO_YES),
    ("ynqa", "{context}\n\nTrue or False? {question}", "{label}", _FALSE_TRUE),
)

# Fields: context (the premise), hypothesis; label 0 follows, 1 is open, 2 is contradicted.
NLI = _named(
    "nli",
    (
        "nli",
        '{context}\n\nMay we conclude that "{hypothesis}"? Yes, No or Maybe?',
        "{label}",
        _YES_MAYBE_NO,
    ),
    (
        "nli",
        'Claim: "{hypothesis}"\n\nEvidence: {context}\n\nDoes it bear the claim out? '
        "Yes, No or Maybe?",
        "{label}",
        _YES_MAYBE_NO,
    ),
    (
        "nli",
        '{context}\n\nTake the text as given. Is "{hypothesis}" True, False or Inconclusive?',
        "{label}",
        _TRUE_OPEN_FALSE,
    ),
    (
        "nli",
        '{context}\n\nSomeone says: "{hypothesis}" Call that True, False or Inconclusive.',
        "{label}",
        _TRUE_OPEN_FALSE,
    ),
    (
        "nli",
        '{context}\n\nJudge this remark: "{hypothesis}" Correct, Incorrect or Inconclusive?',
        "{label}",
        ("Correct", "Inconclusive", "Incorrect"),
    ),
    (
        "nli",
        '{context}\n\nWhere the text holds, when does "{hypothesis}"? Always, Sometimes or Never?',
        "{label}",
        ("Always", "Sometimes", "Never"),
    ),
    (
        "nli",
        '{context}\n\nIn the light of this, "{hypothesis}" is Guaranteed, Possible or Impossible?',
        "{label}",
        ("Guaranteed", "Possible", "Impossible"),
    ),
)

# Fields: context (the premise), hypothesis; label 0 follows, 1 does not.
ENTAILMENT = _named(
    "entailment",
    ("te", '{context}\n\nDoes "{hypothesis}" follow? Yes or No?', "{label}", _YES_NO),
    ("te", '{context}\n\nMust "{hypothesis}" then be so? Yes or No?', "{label}", _YES_NO),
    ("te", '{context}\n\nClaim: "{hypothesis}"\nTrue or False?', "{label}", _TRUE_FALSE),
)

# Fields: context (the first sentence), other (the second); label 1 means the same, 0 does not.
PARAPHRASE = _named(
    "paraphrase",
    ("paraphrase_id", '{context}\n\nDoes "{other}" say the same? Yes or No?', "{label}", _NO_YES),
    ("paraphrase_id", "A: {context}\nB: {other}\nOne meaning? Yes or No?", "{label}", _NO_YES),
    ("paraphrase_id", '{context}\n"{other}" restates it: True or False?', "{label}", _FALSE_TRUE),
    ("paraphrase", "{context}\n\nSay that in other words.", "{other}", (), 1),
    ("paraphrase", "Reword this sentence and keep what it means: {context}", "{other}", (), 1),
)

# Fields: context; label 0 is negative, 1 positive.
SENTIMENT = _named(
    "sentiment",
    ("sentiment", "{context}\n\nPositive or negative?", "{label}", ("Negative", "Positive")),
    ("sentiment", "{context}\n\nDid the writer like it? Yes or No?", "{label}", _NO_YES),
    ("sentiment", "A good or a bad report?\n\n{context}", "{label}", ("bad", "good")),
    ("sentiment", "{context}\n\nHappy or unhappy with it?", "{label}", ("unhappy", "happy")),
)

# Fields: context; the words of the labels are the data set's own.
TOPIC = _named(
    "topic",
    ("topic_class", "{context}\n\nWhat is this about: {labels}?", "{label}"),
    ("topic_class", "{context}\n\nUnder which heading would you file it? {labels}?", "{label}"),
    ("topic_class", "Choose between {labels} for this text:\n\n{context}", "{label}"),
)

# Fields: context (the document), summary.
SUMMARY = _named(
    "summary",
    ("summarization", "{context}\n\nPut that in brief.", "{summary}"),
    ("summarization", "Summarise the following:\n\n{context}", "{summary}"),
    ("summarization", "{context}\n\nWhat is the gist?", "{summary}"),
    ("text_gen", "Write out in full what this sums up: {summary}", "{context}"),
    ("text_gen", "Write the text behind this summary.\n\n{summary}", "{context}"),
)

# Fields: context (the beginning), options, dashes, letter, answer (the right ending).
COMPLETION = _named(
    "completion",
    ("sent_comp", "{context} ...\n\nHow does it go on?\n{dashes}", "{answer}"),
    ("sent_comp", "{context} ...\n\nWhich ending fits?\n{options}", "{letter}"),
    ("sent_comp", "Finish what begins like this: {context}", "{answer}"),
)

# Fields: context (the first sentence), other (the second), word; label 1 is one sense, 0 two.
WORD_SENSE = _named(
    "word_sense",
    ("wsd", '{context}\n{other}\nIs "{word}" used in one sense? Yes or No?', "{label}", _NO_YES),
    (
        "wsd",
        '1. {context}\n2. {other}\n"{word}" means one thing in both: True or False?',
        "{label}",
        _FALSE_TRUE,
    ),
)

# Fields: context, pronoun, mention; label 1 when the pronoun means the mention, 0 otherwise.
COREFERENCE = _named(
    "coreference",
    ("coref", '{context}\n\nIs "{pronoun}" here "{mention}"? Yes or No?', "{label}", _NO_YES),
    ("coref", '{context}\n\n"{pronoun}" is "{mention}": True or False?', "{label}", _FALSE_TRUE),
)
