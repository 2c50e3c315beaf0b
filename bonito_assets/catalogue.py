"""The catalogue: one YAML file per corpus, and the one partition dimension made of their names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from bonito_assets.ingestion import reading
from bonito_assets.parsing.words import bare
from bonito_assets.tables import SCORES
from resources import generator
from resources.secrets import has_secret, scrub

corpora = dg.DynamicPartitionsDefinition(name="corpora")

CORPUS_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

# Short name -> the full name that Bonito's prompt carries (published in the model card).
TASK_TYPES: dict[str, str] = {
    "exqa": "extractive question answering",
    "mcqa": "multiple-choice question answering",
    "qg": "question generation",
    "qa": "question answering without choices",
    "ynqa": "yes-no question answering",
    "coref": "coreference resolution",
    "paraphrase": "paraphrase generation",
    "paraphrase_id": "paraphrase identification",
    "sent_comp": "sentence completion",
    "sentiment": "sentiment",
    "summarization": "summarization",
    "text_gen": "text generation",
    "topic_class": "topic classification",
    "wsd": "word sense disambiguation",
    "te": "textual entailment",
    "nli": "natural language inference",
}
# Unit of text that a task type was trained on: these on single sentences, the others on paragraphs.
SENTENCE_TASK_TYPES = frozenset({"paraphrase", "paraphrase_id", "wsd", "coref", "te", "sent_comp"})
_SHORT_NAMES = {full: short for short, full in TASK_TYPES.items()}
_CUSTOM_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]{0,95}")


class CatalogueError(ValueError):
    """A catalogue file is wrong: the message names the file, the key and the remedy."""


class _Section(BaseModel):
    """A part of a catalogue file; a key that it does not know is an error with a suggestion."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _know_every_key(cls, value: Any) -> Any:
        if isinstance(value, dict):
            for key in value:
                if key not in cls.model_fields:
                    raise ValueError(_unknown("key", str(key), list(cls.model_fields)))
        return value


class HubDataset(_Section):
    """A source read through Hugging Face ``datasets``: a hub id or a local folder."""

    path: str
    name: str | None = None
    split: str = "train"
    revision: str | None = None
    streaming: bool = Field(
        default=False, description="read a hub dataset as it comes instead of downloading it"
    )


class Source(_Section):
    """Where the documents come from: exactly one of ``files`` and ``dataset``."""

    files: str | list[str] | None = None
    dataset: HubDataset | None = None
    text_field: str = "text"
    id_field: str | None = None
    title_field: str | None = None
    license_field: str | None = None
    where: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description="keep only rows whose fields have these values"
    )
    limit: int | None = Field(default=None, ge=1, description="read at most this many documents")

    @model_validator(mode="after")
    def _exactly_one(self) -> Source:
        if (self.files is None) == (self.dataset is None):
            raise ValueError("give exactly one of 'files' and 'dataset'")
        return self

    @property
    def patterns(self) -> list[str]:
        """Gives ``files`` as a list."""
        return [self.files] if isinstance(self.files, str) else list(self.files or [])


class Limits(_Section):
    """What one item of the source may cost, so that none can stop the others."""

    seconds: float = Field(default=reading.Limits.seconds, gt=0, description="to read one file")
    memory_mb: int = Field(default=reading.Limits.memory_mb, ge=256)
    file_mb: int = Field(default=reading.Limits.file_mb, ge=1)
    text_mb: int = Field(default=reading.Limits.text_mb, ge=1, description="of one document")
    ratio: int = Field(
        default=reading.Limits.ratio, ge=2, description="by which an archive may grow when unpacked"
    )
    members: int = Field(default=reading.Limits.members, ge=1, description="files of an archive")


class Chunking(_Section):
    """How documents are cut. Bonito never saw a passage of more than 2,048 characters."""

    max_chars: int = Field(default=2000, ge=50, le=100_000)
    max_tokens: int | None = Field(
        default=None, ge=16, description="default: what the model's window leaves for a passage"
    )
    filters: bool = Field(
        default=True, description="refuse passages that are too short, boilerplate or no prose"
    )


class Drawing(_Section):
    """What may be set for one task type alone; a value that is not set is that of the corpus."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, le=8192)


class Sampling(_Section):
    """How outputs are drawn; the defaults are those of Bonito's model card."""

    temperature: float = Field(default=0.5, ge=0, le=2)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_tokens: int = Field(default=256, ge=1, le=8192)
    per_task_type: dict[str, Drawing] = Field(default_factory=dict)

    @field_validator("per_task_type")
    @classmethod
    def _short_names(cls, value: dict[str, Drawing]) -> dict[str, Drawing]:
        # A name that is unknown here may be a custom type of the corpus, which knows them.
        return dict(zip(short_names(list(value), value), value.values(), strict=True))

    def of(self, task_type: str) -> generator.Sampling:
        """Gives the sampling parameters of one task type."""
        common = {"temperature": self.temperature, "top_p": self.top_p}
        common["max_tokens"] = self.max_tokens
        own = self.per_task_type.get(task_type, Drawing()).model_dump(exclude_none=True)
        return generator.Sampling(**{**common, **own})


class Budget(_Section):
    """What one refresh may cost; it stops in good order at the first cap that is reached.

    Requests in flight are finished. Money counts at the price that the backend is set to.
    """

    tokens: int | None = Field(default=None, ge=1, description="prompt and output together")
    gpu_seconds: float | None = Field(default=None, gt=0, description="over all cards")
    money: float | None = Field(default=None, gt=0)

    @cached_property
    def caps(self) -> dict[str, float]:
        """Gives the caps that are set, by name."""
        return {name: cap for name, cap in self if cap is not None}


class Tuning(_Section):
    """How the base model is tuned on the published dataset; only answers carry loss."""

    arms: list[Literal["bonito", "tapt"]] = Field(
        default=["bonito"],
        description="what is tuned: on the tasks (bonito), on the raw passages they are of (tapt)",
    )
    method: Literal["auto", "lora", "qlora"] = Field(
        default="auto",
        description="auto: lora, or qlora (4-bit base) where the base would fill half of the card",
    )
    prompt: Literal["auto", "bonito", "chat"] = Field(
        default="auto", description="auto: the tokenizer's chat template where it has one"
    )
    max_steps: int | None = Field(
        default=None, ge=1, description="default: one epoch, at most 10,000"
    )
    epochs: float = Field(default=1, gt=0)
    learning_rate: float = Field(default=1e-4, gt=0)
    lora_r: int = Field(default=64, ge=1)
    lora_alpha: int = Field(
        default=16,
        ge=1,
        description="16 is what the authors' script trains with; the 4 on their card is r / alpha",
    )
    batch_size: int = Field(
        default=16, ge=1, description="rows per optimizer step, over all cards together"
    )
    max_tokens: int = Field(default=1024, ge=32, description="prompt and answer together")

    @field_validator("arms")
    @classmethod
    def _bonito_once(cls, value: list[str]) -> list[str]:
        if "bonito" not in value:
            raise ValueError("'bonito' must be among them: it is the model that is published")
        if len(set(value)) < len(value):
            raise ValueError("an arm stands twice")
        return value


class Parsing(_Section):
    """How outputs are judged: by what their task type promises, or as the upstream package does.

    ``upstream`` keeps whatever has exactly one ``<|pipe|>``, cut or empty as it may be.
    """

    mode: Literal["strict", "upstream"] = "strict"


class CustomTaskType(_Section):
    """A task type of the corpus's own: what is asked of Bonito, and which answers are legal.

    The ``instruction`` stands in the prompt where a built-in type has its name.
    """

    instruction: str = Field(min_length=3, max_length=300)
    answer: Literal["span", "choice", "free", "labels"] = "labels"
    labels: list[str] | None = Field(default=None, min_length=2)
    unit: Literal["paragraph", "sentence"] = "paragraph"

    @field_validator("labels", mode="before")
    @classmethod
    def _no_truth_values(cls, value: Any) -> Any:
        if isinstance(value, list) and any(isinstance(label, bool) for label in value):
            raise ValueError(
                "YAML reads yes, no, true and false as truth values: put quotes around"
                " them, as in ['yes', 'no']"
            )
        return value

    @field_validator("labels")
    @classmethod
    def _distinct(cls, value: list[str] | None) -> list[str] | None:
        # As answers are compared: two labels that an answer could mean both are one label twice.
        said = [bare(label) for label in value or ()]
        for label, compared in zip(value or (), said, strict=True):
            if not compared:
                raise ValueError(f"'{label}' cannot be a label: it is nothing but punctuation")
            if said.count(compared) > 1:
                raise ValueError(f"label '{label}' stands twice")
        return value

    @field_validator("instruction")
    @classmethod
    def _one_plain_line(cls, value: str) -> str:
        if any(mark in value for mark in ("\n", "<|", "|>", "{{", "}}")):
            raise ValueError("it must be one line without the marks <|, |>, {{ and }}")
        return value.strip()

    @model_validator(mode="after")
    def _labels_or_kind(self) -> CustomTaskType:
        if self.answer == "labels" and self.labels is None:
            raise ValueError("give 'labels', or 'answer' as one of span, choice and free")
        if self.answer != "labels" and self.labels is not None:
            raise ValueError(f"'labels' and 'answer: {self.answer}' contradict each other")
        return self


class Threshold(_Section):
    """The least and the greatest value that a score may have; a row without the score passes."""

    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _some_room(self) -> Threshold:
        if self.min is None and self.max is None:
            raise ValueError("give 'min', 'max' or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"no value is at least {self.min} and at most {self.max}")
        return self


class SemanticDuplicates(_Section):
    """Rows that say the same in other words, found by the embeddings of a model that you name."""

    model: str = Field(min_length=1, description="a folder or hub id that `library` loads")
    library: Literal["sentence-transformers", "model2vec"] = "sentence-transformers"
    threshold: float = Field(default=0.95, gt=0, le=1, description="cosine similarity of two rows")


class RoundTrip(_Section):
    """Another model answers from the passage alone; rows are kept where it agrees."""

    model: str | None = Field(default=None, description="default: the base model")
    min_agreement: float = Field(default=0.5, ge=0, le=1, description="F1 of the two answers")


class Curation(_Section):
    """What is kept of the tasks when they are judged beside each other.

    Changing any of it costs no generation.
    """

    duplicates: Literal["corpus", "document", "off"] = Field(
        default="corpus", description="where a copy of a row is looked for"
    )
    near_duplicates: float | None = Field(
        default=0.8,
        ge=0.7,
        le=1,
        description="Jaccard similarity from which passages are near-copies; null = off",
    )
    semantic_duplicates: SemanticDuplicates | None = None
    decontaminate_against: list[str] = Field(
        default_factory=list, description="test sets besides that of 'evaluation'"
    )
    round_trip: RoundTrip | None = None
    thresholds: dict[str, Threshold] = Field(
        default_factory=dict, description="score columns of curated_tasks by name"
    )
    max_share_per_label: float | None = Field(
        default=None, gt=0, le=1, description="of a task type's rows, for each label"
    )
    max_share_per_task_type: float | None = Field(default=None, gt=0, le=1)
    max_per_document: int | None = Field(default=None, ge=1)
    max_per_passage: int | None = Field(default=None, ge=1)
    max_per_template: int | None = Field(
        default=None, ge=1, description="rows whose instructions are worded alike"
    )

    @field_validator("duplicates", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        # YAML reads a bare `off` as false.
        return "off" if value is False else value

    @field_validator("thresholds")
    @classmethod
    def _known_scores(cls, value: dict[str, Threshold]) -> dict[str, Threshold]:
        for name in value:
            if name not in SCORES:
                raise ValueError(_unknown("score", name, list(SCORES)))
        return value

    @model_validator(mode="after")
    def _asked_before_judged(self) -> Curation:
        if "round_trip" in self.thresholds and self.round_trip is None:
            raise ValueError(
                "thresholds: rows have the score 'round_trip' only where another model is asked; "
                "give 'round_trip' too"
            )
        return self


class Publish(_Section):
    """Where a release goes, and how much smaller than the one before it may be."""

    hub: str | None = Field(
        default=None, description="dataset repository owner/name that `bonito push` writes to"
    )
    private: bool = True
    max_shrink: float = Field(
        default=0.5, ge=0, le=1, description="share of the last release's rows that may be missing"
    )
    allow_shrink: bool = Field(default=False, description="publish a smaller release all the same")

    @field_validator("hub")
    @classmethod
    def _owner_and_name(cls, value: str | None) -> str | None:
        if value is not None and not _HUB_NAME.fullmatch(value):
            raise ValueError(f"'{value}' names no repository; it has the form owner/name")
        return value


class Evaluation(_Section):
    """The labelled test set, as JSONL or Parquet (gz too), and how it is scored."""

    test: str
    metric: Literal["choice_f1", "squad"] = "choice_f1"
    limit: int | None = Field(default=None, ge=1, description="score only the first rows")
    templates: int = Field(
        default=5, ge=1, le=5, description="wordings of each question; scores are their means"
    )
    engine: Literal["auto", "transformers", "vllm"] = Field(
        default="auto", description="vLLM where there is a GPU, else transformers"
    )


class Corpus(_Section):
    """One catalogue file: a source, what is asked of it, and how the result is judged."""

    name: str
    folder: Path = Field(description="the folder of the YAML file; relative paths start there")
    description: str = ""
    source: Source
    custom_task_types: dict[str, CustomTaskType] = Field(default_factory=dict)
    task_types: list[str] = Field(min_length=1)
    samples_per_chunk: int = Field(default=1, ge=1, le=1000)
    accepted_per_task_type: int | None = Field(
        default=None, ge=1, description="instead of samples_per_chunk: rows to be kept of each type"
    )
    max_samples_per_chunk: int = Field(
        default=10, ge=1, le=1000, description="ceiling of accepted_per_task_type"
    )
    reproducible: bool = Field(
        default=False, description="one seed per request: an empty cache gives the same rows again"
    )
    budget: Budget = Budget()
    chunking: Chunking = Chunking()
    sampling: Sampling = Sampling()
    parsing: Parsing = Parsing()
    curation: Curation = Curation()
    publish: Publish = Publish()
    mixture_weight: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="share in instruction_mixture relative to other weights; 0 = not in it",
    )
    tuning: Tuning = Tuning()
    evaluation: Evaluation | None = None
    limits: Limits = Limits()
    refresh: str | None = None
    license: str | None = None
    language: str | list[str] | None = Field(
        default=None, description="ISO 639-1 codes; passages in other languages are refused"
    )
    pii: Literal["keep", "mask", "reject"] = Field(
        default="keep", description="what is done with personal data and secrets"
    )

    @field_validator("custom_task_types")
    @classmethod
    def _names_of_their_own(cls, value: dict[str, CustomTaskType]) -> dict[str, CustomTaskType]:
        for name in value:
            if name in TASK_TYPES or name in _SHORT_NAMES:
                raise ValueError(f"'{name}' is a built-in task type; choose another name")
            if not _CUSTOM_NAME.fullmatch(name):
                raise ValueError(
                    f"'{name}' cannot be a name: use lower-case letters, digits and '_', at most "
                    "31, starting with a letter"
                )
        return value

    @field_validator("task_types")
    @classmethod
    def _short_names(cls, value: list[str], info: ValidationInfo) -> list[str]:
        return short_names(value, info.data.get("custom_task_types", ()))

    @model_validator(mode="after")
    def _one_amount(self) -> Corpus:
        given = self.model_fields_set
        if self.accepted_per_task_type is not None and "samples_per_chunk" in given:
            raise ValueError("give one of 'samples_per_chunk' and 'accepted_per_task_type'")
        if self.accepted_per_task_type is None and "max_samples_per_chunk" in given:
            raise ValueError("'max_samples_per_chunk' is the ceiling of 'accepted_per_task_type'")
        drawn = self.sampling.per_task_type
        foreign = set(short_names(list(drawn), self.custom_task_types)) - set(self.task_types)
        if foreign:
            raise ValueError(
                f"sampling.per_task_type: '{sorted(foreign)[0]}' is not one of 'task_types'"
            )
        return self

    @field_validator("refresh")
    @classmethod
    def _five_cron_fields(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                dg.ScheduleDefinition(job_name="refresh", cron_schedule=value)
            except dg.DagsterInvalidDefinitionError as error:
                raise ValueError(
                    f"'{value}' is not a cron line; for every night at three: 0 3 * * *"
                ) from error
        return value

    @property
    def languages(self) -> list[str]:
        """Gives ``language`` as a list; an empty one stands for all languages."""
        return [self.language] if isinstance(self.language, str) else list(self.language or [])

    def full_name(self, task_type: str) -> str:
        """Gives what the prompt calls `task_type`: its full name, or its own instruction."""
        custom = self.custom_task_types.get(task_type)
        return custom.instruction if custom else TASK_TYPES[task_type]

    def unit_of(self, task_type: str) -> str:
        """Gives the unit of text that `task_type` is asked of: ``paragraph`` or ``sentence``."""
        custom = self.custom_task_types.get(task_type)
        if custom:
            return custom.unit
        return "sentence" if task_type in SENTENCE_TASK_TYPES else "paragraph"

    def path(self, location: str) -> str:
        """Gives `location` with a relative path set against the folder of the YAML file."""
        if "://" in location or Path(location).is_absolute():
            return location
        return str(self.folder / location)


def load(path: Path) -> Corpus:
    """Reads one catalogue file.

    Raises ``CatalogueError`` that names the file, the key and what would be right.
    """
    name = path.stem
    if not CORPUS_NAME.fullmatch(name):
        raise CatalogueError(
            f"{path}: the file's name is the name of the corpus, and '{name}' cannot be one: use "
            "lower-case letters, digits, '_' and '-', starting with a letter or digit"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise CatalogueError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise CatalogueError(f"{path}: holds no keys; it needs at least 'source' and 'task_types'")
    reserved = {"name", "folder"} & set(content)
    if reserved:
        raise CatalogueError(
            f"{path}: key '{reserved.pop()}' is set by the file's place; remove it"
        )
    for key, url in _with_secrets(content):
        raise CatalogueError(
            f"{path}: {key}: '{scrub(url)}' holds a password or token, which does not belong into "
            "the file: put it into an environment variable or .env, and write ${NAME} in its "
            "place, as in https://user:${NAME}@host/file"
        )
    try:
        return Corpus(name=name, folder=path.absolute().parent, **content)
    except ValidationError as error:
        raise CatalogueError(f"{path}: {'; '.join(_sentences(error))}") from error


class Catalogue(dg.ConfigurableResource):
    """The folder of catalogue files, one per corpus."""

    folder: str

    def paths(self) -> list[Path]:
        """Gives the catalogue files, sorted by name; raises ``CatalogueError`` without a folder."""
        folder = Path(self.folder)
        if not folder.is_dir():
            raise CatalogueError(
                f"{folder}: no such folder; set BONITO_CORPORA to the folder of your catalogue"
            )
        return sorted(p for p in folder.iterdir() if p.suffix in (".yaml", ".yml"))

    def names(self) -> list[str]:
        """Gives the names of all corpora, valid or not."""
        return [path.stem for path in self.paths()]

    def corpus(self, name: str) -> Corpus:
        """Gives the corpus called `name`; raises ``CatalogueError`` when there is none."""
        for path in self.paths():
            if path.stem == name:
                return load(path)
        raise CatalogueError(
            f"{self.folder}: " + _unknown("corpus", name, self.names()) + f"; add {name}.yaml there"
        )


def short_names(names: list[str], custom: Collection[str] = ()) -> list[str]:
    """Gives the short names of task types, `custom` ones among them.

    Raises ``ValueError`` for one unknown or doubled.
    """
    short: list[str] = []
    for name in names:
        known = _SHORT_NAMES.get(name, name)
        if known not in TASK_TYPES and known not in custom:
            raise ValueError(_unknown("task type", name, [*TASK_TYPES, *custom, *_SHORT_NAMES]))
        if known in short:
            raise ValueError(f"task type '{name}' stands twice")
        short.append(known)
    return short


def _unknown(kind: str, name: str, valid: list[str]) -> str:
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"unknown {kind} '{name}'; {hint}valid: {', '.join(valid)}"


def _with_secrets(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Gives the places of a catalogue file that hold a secret, and what stands there."""
    if isinstance(value, str) and has_secret(value):
        yield key, value
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for name, held in inner:
        yield from _with_secrets(held, f"{key}.{name}" if key else str(name))


def _sentences(error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "missing":
            yield f"key '{key}' is missing"
        elif problem["type"] == "model_type":
            yield f"{key}: it must be a section with keys of its own, and is {problem['input']!r}"
        else:
            yield f"{key}: {text}" if key else text
