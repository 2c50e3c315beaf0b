"""Secrets come from the environment and reach no text: no message, no log, no database."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets import settings
from bonito_assets.catalogue import CatalogueError, Corpus, load
from bonito_assets.ingestion.files import SourceError, find_files
from bonito_assets.settings import SettingError
from resources import secrets
from resources.secrets import SecretMissing, expand, fold, has_secret, scrub, without_login
from resources.vllm_server import _addresses
from tests.security.served import GUARD

# By the name of the variable, how each stands in it.
PLANTED = {
    "HF_TOKEN": "hf_planted-1-token",
    "AWS_ACCESS_KEY_ID": "PLANTED2ACCESS",
    "AWS_SECRET_ACCESS_KEY": "/planted-3/se+cret==",
    "BONITO_SERVER_URL": "http://ann:planted-4%2Fp%40ss@127.0.0.1:1",
    "BONITO_SERVER_API_KEY": "planted-5-key",
    "BONITO_SMTP_URL": "smtps://bot:planted-6-pass@mail.example:465",
    "BONITO_ALERT_WEBHOOK": "https://hooks.example/services/planted-7-hook",
    "DAGSTER_POSTGRES_URL": "postgresql://dagster:planted-8-pass@db/dagster",
}
# What must not be found anywhere.
SECRETS = [
    *(PLANTED[name] for name in PLANTED if "URL" not in name),
    "planted-4%2Fp%40ss",
    "planted-4/p@ss",
    base64.b64encode(b"ann:planted-4/p@ss").decode(),
    "planted-6-pass",
    "planted-8-pass",
]


@pytest.fixture
def planted(monkeypatch):
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)


def test_values_of_secret_variables_are_masked_in_every_form(planted):
    for secret in SECRETS:
        for form in (secret, json.dumps(secret), repr(secret)):
            assert "planted" not in scrub(f"it said {form}, twice: {form}").lower()


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=6, max_size=40))
def test_no_value_survives_whatever_its_characters(value):
    if not value.strip("\0") or "\0" in value or value.startswith(("/", "./", "~")):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOME_TOKEN", value)
        assert scrub(f"<{value}>") == f"<{secrets.MASK}>"


PIECES = ['"', "'", "\\", "\n", " ", "word", "http://", "ann:pw-7@", "host/", "?token=pw-7"]
PIECES += ["&sig=pw-7", "authorization: bearer pw-7"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_what_is_scrubbed_as_json_stays_json_and_loses_as_much(text):
    clean = json.loads(scrub(json.dumps(text)))
    assert clean.count("pw-7") <= scrub(text).count("pw-7")


def test_a_long_word_beside_an_address_is_no_work():
    """A search that begins anew at each letter would take hours."""
    word = "a" * 1_000_000
    assert scrub(f"{word} http://ann:pw@host {word}") == f"{word} http://***@host {word}"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("GET http://ann:pw@host:8/x failed", "GET http://***@host:8/x failed"),
        ("https://a-token@host/x", "https://***@host/x"),
        ("sftp://ann:pw@host/x", "sftp://***@host/x"),
        ("https://h/f?X-Amz-Signature=1f&part=2", "https://h/f?X-Amz-Signature=***&part=2"),
        ("https://h/f?sv=1&sig=Ab%3D", "https://h/f?sv=1&sig=***"),
        ("https://h/f?api_key=k&token=t", "https://h/f?api_key=***&token=***"),
        ("{'Authorization': 'Bearer abc.def'}", "{'Authorization': 'Bearer ***'}"),
        (r'"{\"Authorization\": \"Bearer abc\"}"', r'"{\"Authorization\": \"Bearer ***\"}"'),
        # What looks like it and is none.
        ("abfs://container@account/x", "abfs://container@account/x"),
        ("ssh://git@host/x, ann@example.com", "ssh://git@host/x, ann@example.com"),
        ("hf://datasets/org/name@main/f", "hf://datasets/org/name@main/f"),
        ("https://h/f?question=key&page=2", "https://h/f?question=key&page=2"),
        ("authorization: basic facts", "authorization: basic ***"),
    ],
)
def test_urls_and_headers_lose_what_is_secret_in_them_and_nothing_else(text, clean):
    assert scrub(text) == clean


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SOME_KEY", "yes"),  # a word, which would garble every message
        ("TOKENIZERS_PARALLELISM", "disabled-here"),
        ("KEYBOARD_LAYOUT", "qwertz-layout"),
        ("SSH_KEY_PATH", str(Path(__file__))),  # the place of a secret is none
    ],
)
def test_variables_that_hold_no_secret_are_left_alone(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert scrub(f"it is {value}.") == f"it is {value}."


# URLs of a catalogue


def test_a_secret_of_a_url_is_put_in_where_it_is_opened_and_taken_out_again(monkeypatch):
    monkeypatch.setenv("STORE", "p/w@1")
    pattern = "https://ann:${STORE}@host/${STORE}/?.txt"
    assert expand(pattern) == "https://ann:p%2Fw%401@host/${STORE}/?.txt"
    assert fold("https://ann:p%2Fw%401@host/x/1.txt", pattern) == "https://host/x/1.txt"
    signed = "https://host/x.txt?v=1&sig=${STORE}"
    assert expand(signed) == "https://host/x.txt?v=1&sig=p%2Fw%401"
    assert fold(expand(signed), signed) == signed


def test_a_variable_that_is_not_set_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("NOT_SET", raising=False)
    url = "https://ann:${NOT_SET}@host/x.txt"
    with pytest.raises(SecretMissing, match="NOT_SET"):
        expand(url)
    with pytest.raises(SourceError, match=r"corpus 'c'.*NOT_SET"):
        find_files(Corpus(name="c", folder=tmp_path, source={"files": url}, task_types=["nli"]))


def test_the_value_of_a_variable_that_a_catalogue_names_is_secret_whatever_its_name(monkeypatch):
    monkeypatch.setenv("LETTERS", "planted-9")
    expand("https://ann:${LETTERS}@host/")
    assert scrub("it said planted-9") == "it said ***"


@pytest.mark.parametrize(
    ("url", "has"),
    [
        ("https://ann:pw@host/", True),
        ("https://token@host/", True),
        ("https://token:@host/", True),
        ("s3://key:secret@bucket/x", True),
        ("https://h/x?sig=abc", True),
        ("https://ann:${PW}@host/", False),
        ("https://${USER}:${PW}@host/?sig=${SIG}", False),
        ("https://${TOKEN}@host/", False),
        ("s3://bucket/x", False),
        ("abfs://container@account/x", False),
        ("docs/*@2.txt", False),
    ],
)
def test_a_url_with_a_secret_is_told_from_one_without(url, has):
    assert has_secret(url) is has


@pytest.mark.parametrize(
    "text",
    [
        "source: {files: 'https://ann:planted-0-pw@host/x'}\ntask_types: [nli]",
        "source: {files: [a, 'https://host/x?token=planted-0-pw']}\ntask_types: [nli]",
        "source: {files: a}\ntask_types: [nli]\nevaluation: {test: 'https://planted-0-pw@h/t'}",
    ],
)
def test_a_catalogue_file_with_a_secret_is_refused_with_the_other_way(tmp_path, text):
    file = tmp_path / "letters.yaml"
    file.write_text(text)
    with pytest.raises(CatalogueError, match=r"\$\{NAME\}") as error:
        load(file)
    assert "planted" not in str(error.value)


# Settings


def test_the_login_of_a_server_is_no_part_of_what_a_run_stores(planted, monkeypatch):
    monkeypatch.setenv("BONITO_BACKEND", "server")
    made = settings.generator()
    assert "planted" not in json.dumps(made.model_dump(), default=str)
    assert made.urls == ["http://127.0.0.1:1"]
    (address,) = _addresses(made.urls, "")
    login = base64.b64encode(b"ann:planted-4/p@ss").decode()
    assert address.authorization == f"Basic {login}"
    assert "planted" not in repr(address) and login not in repr(address)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BONITO_DATA", "sftp://ann:planted-0-pw@host/data"),
        ("BONITO_ENGINE_ARGS", '{"extra": {"hf_token": "planted-0-pw"}}'),
        ("BONITO_ENGINE_ARGS", '{"hf_token": "planted-0-pw"}'),
    ],
)
def test_a_secret_in_a_setting_that_is_stored_is_refused(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    monkeypatch.delenv("BONITO_BACKEND", raising=False)
    with pytest.raises(SettingError, match=variable) as error:
        settings.data_root()
        settings.generator()
    assert "planted" not in str(error.value)


def test_a_url_without_its_login_is_what_is_left():
    assert without_login("https://ann:p%40w@host:8/v1") == "https://host:8/v1"
    assert without_login("http://host/a@b") == "http://host/a@b"


# Everything that a run says

TALKATIVE = """
import logging, os, sys
import dagster as dg
from dagster._core.scheduler.instigation import TickData, TickStatus
from dagster._core.definitions.run_request import InstigatorType
from dagster._utils.error import serializable_error_info_from_exc_info

said = " ".join(os.environ[name] for name in os.environ["PLANTED"].split())

@dg.asset
def documents(context):
    context.log.info(said)
    context.log.warning("by argument %s", said)
    logging.getLogger("bonito_assets.x").info(said)
    logging.getLogger("another.library").error(said)
    try:
        raise OSError(said)
    except OSError:
        context.log.exception("it failed")
    context.log_event(dg.AssetObservation("documents", metadata={"said": said}))
    return dg.MaterializeResult(
        metadata={"said": said, "table": dg.MetadataValue.md(said)},
        check_results=[dg.AssetCheckResult(passed=False, description=said, check_name="good")],
        tags={"said": "plain"},
    )

documents = dg.asset(check_specs=[dg.AssetCheckSpec("good", asset="documents")])(
    documents.op.compute_fn.decorated_fn
)

@dg.asset(deps=[documents])
def raised():
    try:
        raise KeyError(said)
    except KeyError as error:
        raise RuntimeError(f"could not: {said}") from error

@dg.asset(deps=[documents])
def failed():
    raise dg.Failure(said, metadata={"said": said})

def job():
    return dg.Definitions(assets=[documents, raised, failed], jobs=[
        dg.define_asset_job("all")]).resolve_job_def("all")

if __name__ == "__main__":
    with dg.DagsterInstance.get() as instance:
        instance.wipe()
        with dg.execute_job(dg.reconstructable(job), instance=instance) as result:
            assert not result.success
            print(len(result.all_events), "events")
        try:
            raise RuntimeError(said)
        except RuntimeError:
            error = serializable_error_info_from_exc_info(sys.exc_info())
        started = TickData("o", "s", InstigatorType.SENSOR, TickStatus.STARTED, 1.0)
        tick = instance.create_tick(started)
        instance.update_tick(tick.with_status(TickStatus.FAILURE, error=error))
    raise RuntimeError(said)
"""


def test_nothing_that_a_run_says_puts_a_secret_on_disk_or_on_the_terminal(planted, tmp_path):
    """Log lines, errors with their causes, failures, metadata, checks and ticks, in real processes
    of Dagster; then every byte of its home and of the terminal is looked through."""
    (tmp_path / "dagster.yaml").write_text(
        f"{GUARD}telemetry: {{enabled: false}}\n"
        "python_logs: {managed_python_loggers: [bonito_assets], python_log_level: INFO}\n"
    )
    (tmp_path / "talkative.py").write_text(TALKATIVE)
    done = subprocess.run(
        [sys.executable, "talkative.py"],
        cwd=tmp_path,
        env={
            **os.environ,
            "DAGSTER_HOME": str(tmp_path),
            "PYTHONPATH": str(Path.cwd()),
            "PLANTED": " ".join(PLANTED),
        },
        capture_output=True,
    )
    assert b"events" in done.stdout, done.stderr.decode()
    assert found_in(tmp_path) == {}
    terminal = done.stdout + done.stderr
    assert [secret for secret in SECRETS if secret.encode() in terminal] == []
    # It was said all the same, and is there to be read.
    assert b"RuntimeError: ***" in terminal
    for kind in ("schedules.db*", "*.db*", "*.err"):
        stored = b"".join(path.read_bytes() for path in tmp_path.rglob(kind))
        assert b"***" in stored, kind


def found_in(folder: Path) -> dict[str, list[str]]:
    """Gives the files below `folder` that hold a secret, and which."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if held := [secret for secret in SECRETS if secret.encode() in content]:
                found[str(path.relative_to(folder))] = held
    return found
