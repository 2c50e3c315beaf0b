"""The manifest of a release in Croissant, the vocabulary by which catalogues read datasets.

JSON-LD by the specification of MLCommons, version 1.0 (https://docs.mlcommons.org/croissant/).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bonito_assets.publishing.release import data_files
from bonito_assets.publishing.rows import MEANINGS, SCHEMA
from resources.checksums import sha256

CROISSANT = "croissant.json"
_VERSION = "http://mlcommons.org/croissant/1.0"
# What the short names of the specification stand for.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(
    folder: Path, name: str, description: str, license_: str | None, release: dict[str, Any]
) -> dict[str, Any]:
    """Gives the manifest of the release in `folder`, whose ``release.json`` is `release`."""
    files = data_files(folder)
    manifest: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _VERSION,
        "name": name,
        "description": description or f"Instructions made by Bonito from the corpus {name}",
        "version": release["version"],
        "datePublished": release["created_at"],
        # The release's own page, beside this file.
        "url": "README.md",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": f"{split}-file",
                "name": path.name,
                "contentUrl": path.relative_to(folder).as_posix(),
                "contentSize": f"{path.stat().st_size} B",
                "encodingFormat": "application/x-parquet",
                "sha256": sha256(path),
            }
            for split, path in files.items()
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": split,
                "name": split,
                "description": f"the {release['splits'][split]:,} rows of the split {split}",
                "key": {"@id": f"{split}/generation_id"},
                "field": [_field(split, column) for column in SCHEMA.names],
            }
            for split in files
        ],
    }
    if license_:
        manifest["license"] = license_
    return manifest


def _field(split: str, column: str) -> dict[str, Any]:
    source = {"fileObject": {"@id": f"{split}-file"}, "extract": {"column": column}}
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{split}/{column}",
        "name": column,
        "description": MEANINGS[column],
    }
    if column == "messages":
        field["repeated"] = True
        field["subField"] = [
            {
                "@type": "cr:Field",
                "@id": f"{split}/{column}/{part}",
                "name": part,
                "dataType": "sc:Text",
                "source": {**source, "transform": {"jsonPath": part}},
            }
            for part in ("role", "content")
        ]
    else:
        field["dataType"] = "sc:Integer" if column.endswith("_char") else "sc:Text"
        field["source"] = source
    return field
