"""Makes a release of the mixture: rows, books, card, manifest, checksums."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bonito_assets.metadata import cell, markdown_table
from bonito_assets.publishing.books import BOOKS, PUBLISHED, published_books
from bonito_assets.publishing.card import LIMITS, LOADING, code, columns, header
from bonito_assets.publishing.croissant import CROISSANT, croissant
from bonito_assets.publishing.mixture import MIXTURE, Mixed, Sources, mix
from bonito_assets.publishing.publish import Published, release_record, write_json
from bonito_assets.publishing.release import RELEASE, keep
from resources.checksums import write_sums
from resources.store import Store

_DESCRIPTION = "All corpora of a catalogue together, without what more than one of them holds"


def publish_mixture(store: Store, given: Sources, folder: Path, previous: Path | None) -> Published:
    """Fills the empty `folder` with a release of the mixture; `previous` is the published one."""
    mixed = mix(store, given, folder)
    books = {**mixed.books, PUBLISHED: published_books(store, folder, mixed.rows)}
    release = release_record(MIXTURE, mixed.rows, previous)
    release["corpora"] = {name: e["version"] for name, e in books["corpora"].items()}
    license_ = _license(given)
    write_json(folder / BOOKS, books)
    write_json(folder / RELEASE, release)
    write_json(folder / CROISSANT, croissant(folder, MIXTURE, _DESCRIPTION, license_, release))
    images = _write_plots(folder, mixed)
    text = mixture_card(given, mixed, books, license_, images)
    (folder / "README.md").write_text(text, encoding="utf-8")
    write_sums(folder)
    keep(folder, mixed.rows.version, previous)
    return Published(mixed.rows, books, release)


def mixture_card(
    given: Sources,
    mixed: Mixed,
    books: Mapping[str, Any],
    license_: str | None,
    images: Mapping[str, str],
) -> str:
    """Gives the text of README.md of the mixture."""
    task_types = sorted({task_type for _, task_type in mixed.kept})
    languages = sorted({code_ for s in given.found for code_ in s.corpus.languages})
    head = header(MIXTURE, mixed.rows, task_types, license_, languages)
    sections = {
        "Corpora": _corpora(given, books),
        "Rows that more than one corpus holds": _duplicates(books),
        "Rows by corpus and task type": _task_types(mixed, images),
        "How to load it": LOADING,
        "Columns": columns(),
        "Limits and risks": LIMITS,
    }
    return "\n\n".join(
        [
            head,
            f"# {MIXTURE}",
            f"{_DESCRIPTION}. Release {code(mixed.rows.version)}, {mixed.rows.total:,} rows. No "
            "person has labelled or read them. The card of each corpus says how its rows were "
            "made.",
            *(f"## {title}\n\n{text}" for title, text in sections.items() if text),
            "",
        ]
    )


def _license(given: Sources) -> str | None:
    """Gives the licence that all corpora share; several together are no licence of the hub's."""
    stated = sorted({source.corpus.license or "not stated" for source in given.found})
    if stated == ["not stated"]:
        return None
    return stated[0] if len(stated) == 1 else "several: " + ", ".join(stated)


def _corpora(given: Sources, books: Mapping[str, Any]) -> str:
    licenses = {source.name: source.corpus.license for source in given.found}
    rows = [
        {
            "corpus": name,
            "release": entry["version"],
            "licence": licenses[name] or "not stated",
            "weight": "all rows" if entry["weight"] is None else f"{entry['weight']:g}",
            "rows": f"{entry['rows']:,}",
            "held elsewhere": f"{entry['duplicates']:,}",
            "over its weight": f"{entry['over_weight']:,}",
            "kept": f"{entry['kept']:,}",
        }
        for name, entry in books["corpora"].items()
    ]
    parts = [markdown_table(rows)]
    for key, sentence in (
        ("missing", "Not in it, since not published yet"),
        ("left_out", "Not in it, since their weight is 0"),
    ):
        if books[key]:
            parts.append(f"{sentence}: {', '.join(map(cell, books[key]))}.")
    return "\n\n".join(parts)


def _duplicates(books: Mapping[str, Any]) -> str:
    if not books["duplicates"]:
        return "None was found."
    rows = [
        {
            "corpus": entry["corpus"],
            "kept in": entry["kept_in"],
            "likeness": entry["kind"],
            "rows": f"{entry['rows']:,}",
        }
        for entry in books["duplicates"]
    ]
    return "Of each such row the one is kept that the model was surest of.\n\n" + markdown_table(
        rows
    )


def _task_types(mixed: Mixed, images: Mapping[str, str]) -> str:
    rows = [
        {"corpus": corpus, "task type": task_type, "rows": f"{n:,}"}
        for (corpus, task_type), n in sorted(mixed.kept.items())
    ]
    plots = [f"![{caption}]({path})" for path, caption in images.items()]
    return "\n\n".join([markdown_table(rows), *plots])


def _write_plots(folder: Path, mixed: Mixed) -> dict[str, str]:
    from bonito_assets.publishing.plots import task_type_plot

    kept, offered = (
        {t: sum(n for (_, name), n in counts.items() if name == t) for _, t in counts}
        for counts in (mixed.kept, mixed.offered)
    )
    (folder / "images").mkdir()
    (folder / "images" / "task-types.png").write_bytes(task_type_plot(kept, offered))
    return {"images/task-types.png": "rows by task type, and those left out"}
