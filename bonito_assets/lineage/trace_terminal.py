"""A trace as the terminal shows it. Texts of corpora are data: no control character of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from bonito_assets.lineage.trace import Listed, Trace

_LABEL_CHARS = 13
# Of the texts in a list; the ones that the trace is about are shown whole.
_LISTED_CHARS = 60


def plain(text: Any) -> str:
    """Gives `text` in one line, without characters that steer a terminal or turn its writing."""
    line = " ".join(str(text).split())
    return "".join(char for char in line if char.isprintable())


def lines_of(text: str) -> str:
    """Gives `text` as ``plain`` does, but line by line, one under the other behind their name."""
    return ("\n" + " " * (_LABEL_CHARS + 3)).join(map(plain, text.strip().splitlines()))


def show_trace(console: Console, found: Trace) -> None:
    """Prints a trace, from the row back to its document, then forward to what saw it."""
    where = "" if found.corpus is None else f" of corpus {found.corpus}"
    _print(console, f"{found.kind} {found.id}{where}", "bold")
    if found.row is not None:
        _part(console, "Row", _row_lines(found.row))
    if found.verdicts:
        lines = {v["stage"]: _verdict(v["rejected_because"], v["meaning"]) for v in found.verdicts}
        _part(console, "Verdicts", lines)
    if found.generation is not None:
        _part(console, "Generation", _generation_lines(found.generation))
    if found.passage is not None:
        _part(console, "Passage", _passage_lines(found.passage))
    if found.document is not None:
        _part(console, "Document", _document_lines(found.document))
    for title, listed in (("Passages", found.passages), ("Rows", found.rows)):
        if listed is not None:
            _list(console, title, listed)
    if found.gone is not None:
        _list(console, "Rows that only releases still hold", found.gone)
    if found.corpus is not None:
        _part(console, "Releases", {r["version"]: _release(r) for r in found.releases} or _NONE)
        models = {f"{m['model']} {m['arm']}": _model(m) for m in found.models}
        _part(console, "Tuned models", models or _NONE)
    for note in found.notes:
        _print(console, f"\nNote: {plain(note)}.")


_NONE = {"none": "saw it"}


def _print(console: Console, text: str | Text, style: str = "") -> None:
    console.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)


def _part(console: Console, title: str, lines: Mapping[str, Any]) -> None:
    """Prints the values that are there, each behind its name."""
    _print(console, f"\n{title}", "bold")
    for name, value in lines.items():
        if value is not None and value != "":
            shown = value if isinstance(value, Text) else Text(lines_of(str(value)))
            _print(console, Text(f"  {name:<{_LABEL_CHARS}} ") + shown)


def _row_lines(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task type": row["task_type"],
        "instruction": row["input"],
        "answer": row["output"],
        "label": row.get("label"),
        "duplicate of": row.get("duplicate_of"),
        "contaminated": row.get("contaminated_by"),
        "other model": row.get("round_trip_answer"),
        "agreement": row.get("round_trip"),
    }


def _generation_lines(made: Mapping[str, Any]) -> dict[str, Any]:
    checked = "verified: " if made.get("prompt_is_verified") else "not verified: "
    model = made.get("model") or ""
    tokens = f"{made['prompt_tokens']} read, {made['output_tokens']} written"
    run = None if made["run_id"] is None else f"{made['run_id']} ({made['run_path']} in the UI)"
    sampling = made["sampling"] and ", ".join(f"{k} {v}" for k, v in made["sampling"].items())
    return {
        "request": made["request_key"],
        "prompt": made.get("prompt") and checked + made["prompt"],
        "output": made["output"],
        "model": f"{model} (fingerprint {made['model_fingerprint'] or 'not recorded'})",
        "parameters": sampling,
        "sample": made.get("sample"),
        "seed": made.get("seed"),
        "tokens": None if made["prompt_tokens"] is None else tokens,
        "finished by": made["finish_reason"],
        "mean logprob": made["mean_logprob"],
        "written": made["created_at"],
        "run": run,
    }


def _passage_lines(passage: Mapping[str, Any]) -> dict[str, Any]:
    text = Text(_before(passage["before"]))
    text.append(lines_of(passage["text"]), style="bold reverse")
    text.append(_after(passage["after"]))
    return {
        "id": passage["chunk_id"],
        "characters": f"{passage['start_char']:,} to {passage['end_char']:,}",
        "under": " › ".join(passage["heading_path"] or []),
        "serves as": " and ".join(passage["units"] or []),
        "tokens": passage["n_tokens"],
        "in context": text,
    }


def _before(text: str | None) -> str:
    return f"… {plain(text)} [" if text else "["


def _after(text: str | None) -> str:
    return f"] {plain(text)} …" if text else "]"


def _document_lines(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": document["doc_id"],
        "read at": document["uri"],
        "title": document["title"],
        "media type": document["media_type"],
        "licence": document["license"] or "not stated by the source",
        "characters": document["n_chars"],
        "error": document["error"],
        "warning": document["warning"],
    }


def _list(console: Console, title: str, listed: Listed) -> None:
    counts = ", ".join(f"{code} {n:,}" for code, n in listed.verdicts.items())
    _print(console, f"\n{title}: {listed.total:,}{' (' if counts else ''}{counts}"
           f"{')' if counts else ''}", "bold")  # fmt: skip
    for entry in listed.shown:
        _print(console, "  " + _entry(entry))
    if listed.total > len(listed.shown):
        _print(console, f"  and {listed.total - len(listed.shown):,} more: --all shows them")


def _entry(entry: Mapping[str, Any]) -> str:
    if "generation_id" not in entry:
        place = f"{entry['start_char']:,} to {entry['end_char']:,}"
        return f"{entry['chunk_id']}  {place}  {entry['rejected_because'] or 'accepted'}"
    start = f"{entry['generation_id']}  {entry['task_type']}"
    if "versions" in entry:
        return f"{start}  in release {', '.join(entry['versions'])}"
    question, answer = plain(entry["input"] or ""), plain(entry["output"] or "")
    # Of an instruction the end, since its passage mostly stands before its question.
    texts = f"{question[-_LISTED_CHARS:]} -> {answer[:_LISTED_CHARS]}"
    return f"{start}  {entry['rejected_because'] or 'accepted'}  {texts}"


def _verdict(code: str | None, meaning: str | None) -> str:
    return "accepted" if code is None else f"{code}: {meaning}"


def _release(release: Mapping[str, Any]) -> str:
    rows = ", ".join(f"{split} {n:,}" for split, n in release["rows"].items())
    age = "newest" if release["is_newest"] else "earlier"
    when = f", published {release['created_at']}" if release["created_at"] else ""
    return f"{release['dataset']}, {age}: {rows}{when}"


def _model(model: Mapping[str, Any]) -> str:
    return f"{model['saw']} (release {model['dataset_version']}, base {model['base_model']})"
