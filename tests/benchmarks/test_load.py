"""``python -m benchmarks load`` as a user runs it, against the dict server and against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.load import load_command as command
from benchmarks.report.output import ROOT
from benchmarks.site.site import Server

KEYS = 50

Serve = Callable[..., str]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    lines = [f"m\tuser{number}@d.example\tOK\td.example/user{number}/\n" for number in range(KEYS)]
    path = tmp_path / "table.tsv"
    path.write_text("".join(lines) + "m\t*\tNOTFOUND\n")
    return path


@pytest.fixture
def serve(tmp_path: Path, table: Path) -> Iterator[Serve]:
    started: list[Server] = []

    def start(*arguments: str, address: str = "") -> str:
        reference = Server(tmp_path, *(arguments or ("dict", "--table", str(table))), address=address)
        started.append(reference)
        return reference.address

    yield start
    for reference in started:
        reference.stop()


def load(address: str, keys: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    words = [sys.executable, "-m", "benchmarks", "load", address, "--map", "m", "--keys", str(keys), "--json"]
    words += ["--seconds", "0.3", "--warm-up", "0.1", "--connections", "3", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=60)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def test_a_closed_loop_is_measured_and_every_answer_checked(serve: Serve, table: Path) -> None:
    status, result, _ = load(serve(), table, "--expect", str(table))
    figures = result["figures"]
    assert status == 0
    assert figures["answers"] == figures["ok"] == figures["checked"] > 0
    assert figures["wrong"] == figures["errors"] == 0
    assert 0 < figures["p50"] <= figures["p90"] <= figures["p99"] <= figures["p99.9"] <= figures["max"]
    assert result["settings"]["rate"] == 0
    assert result["machine"]["python"]


def test_an_open_loop_keeps_its_rate(serve: Serve, table: Path) -> None:
    status, result, _ = load(serve(), table, "--rate", "200")
    assert status == 0
    # 0.3 s of 200 a second; a machine too slow for that answers late, but is asked no less.
    assert result["figures"]["answers"] + result["figures"]["errors"] == pytest.approx(60, abs=15)


def test_a_wrong_answer_is_found_and_shown(serve: Serve, table: Path, tmp_path: Path) -> None:
    expected = tmp_path / "expected.tsv"
    expected.write_text(table.read_text().replace("d.example/user7/", "d.example/other/"))
    status, result, _ = load(serve(), table, "--expect", str(expected))
    assert status == command.EXIT_WRONG
    assert result["figures"]["wrong"] > 0
    assert result["wrong_answers"][0] == "user7@d.example: OK d.example/user7/, but OK d.example/other/ is right"


def test_not_found_where_a_value_is_right_is_a_wrong_answer(serve: Serve, table: Path, tmp_path: Path) -> None:
    expected = tmp_path / "expected.tsv"
    expected.write_text("m\tuser50@d.example\tOK\td.example/user50/\n")
    status, result, _ = load(serve(), expected, "--expect", str(expected))
    assert status == command.EXIT_WRONG
    assert result["figures"]["notfound"] == result["figures"]["wrong"] > 0


def test_unknown_keys_are_not_found(serve: Serve, table: Path) -> None:
    status, result, _ = load(serve(), table, "--expect", str(table), "--unknown", "100%")
    assert status == 0
    assert result["figures"]["notfound"] == result["figures"]["checked"] == result["figures"]["answers"] > 0


@pytest.mark.parametrize(("limit", "broken"), [("p99>60s", False), ("rate<1000000000", True), ("cpu>1s", True)])
def test_a_broken_limit_is_the_exit_status(serve: Serve, table: Path, limit: str, broken: bool) -> None:
    status, result, errors = load(serve(), table, "--fail-if", limit)
    assert status == (command.EXIT_LIMIT if broken else 0)
    assert result["broken_limits"] == ([limit] if broken else [])
    assert (limit in errors) is broken


def test_tcp_table_and_unix_sockets_are_spoken_too(serve: Serve, table: Path, tmp_path: Path) -> None:
    options = ("dict", "--table", str(table), "--protocol", "tcp_table", "--map", "m")
    address = serve(*options, address=f"unix:{tmp_path}/s")
    status, result, _ = load(address, table, "--expect", str(table), "--protocol", "tcp_table", "--unknown", "0.2")
    assert status == 0
    assert result["figures"]["ok"] > 0
    assert result["figures"]["notfound"] > 0


def test_connections_are_replaced_as_postfix_does_it(serve: Serve, table: Path) -> None:
    status, result, _ = load(serve(), table, "--expect", str(table), "--churn", "10,0.05")
    assert status == 0
    assert result["figures"]["opened"] > 3
    assert result["figures"]["errors"] == 0


def test_every_hot_key_is_asked_before_the_warm_up(serve: Serve, table: Path) -> None:
    status, result, _ = load(serve(), table, "--expect", str(table), "--warm-keys", "--seconds", "0.05")
    assert status == 0
    assert result["figures"]["warm_up_errors"] == 0


def test_the_server_cpu_is_that_of_the_named_process(serve: Serve, table: Path) -> None:
    status, result, _ = load(serve(), table, "--pid", f"me={os.getpid()}")
    assert status == 0
    assert result["figures"]["cpu"] == result["figures"]["cpu me"] >= 0


def test_a_server_that_cannot_be_reached_has_its_own_exit_status(table: Path, tmp_path: Path) -> None:
    status, result, errors = load(f"unix:{tmp_path}/nobody", table)
    assert status == command.EXIT_UNREACHABLE
    assert result == {}
    assert "cannot connect" in errors


@pytest.mark.parametrize(
    "options",
    [
        ["--unknown", "2"],
        ["--fail-if", "p99>5"],
        ["--churn", "soon"],
        ["--cold", "0.6", "--unknown", "0.6"],
        ["--expect", "/nonexistent"],
        ["--pid", "0"],
    ],
)
def test_a_command_line_that_cannot_be_used_has_its_own_exit_status(table: Path, options: list[str]) -> None:
    arguments = ["load", "inet:127.0.0.1:1", "--map", "m", "--keys", str(table), *options]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


async def _misbehave(reply: bytes, tmp_path: Path, table: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000) and reply:
            writer.write(reply)
        writer.close()

    server = await asyncio.start_unix_server(answer, tmp_path / "bad")
    async with server:
        return await asyncio.to_thread(load, f"unix:{tmp_path}/bad", table, *options)


@pytest.mark.parametrize(
    ("reply", "kind"), [(b"", "closed"), (b"3:abcX", "malformed"), (b"11:NOTFOUND  x,12:NOTFOUND abc,", "unasked")]
)
async def test_what_is_no_answer_is_counted_as_an_error(reply: bytes, kind: str, tmp_path: Path, table: Path) -> None:
    _, result, _ = await _misbehave(reply, tmp_path, table)
    assert kind in result["errors"]


async def test_an_answer_that_never_comes_is_a_timeout(tmp_path: Path, table: Path) -> None:
    # Half an answer, and then silence.
    status, result, _ = await _misbehave(b"9:NOT", tmp_path, table, "--timeout", "0.1")
    assert status == command.EXIT_UNREACHABLE
    assert result["errors"].keys() <= {"timeout", "malformed"}
    assert result["figures"]["answers"] == 0


def test_an_address_that_is_none_is_named_in_plain_words(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["load", "10143", "--keys", str(table)])
    assert "'10143' is no address: expected inet:HOST:PORT or unix:PATH" in capsys.readouterr().err


def test_a_load_in_lockstep_is_answered_like_another(serve: Serve, table: Path) -> None:
    status, result, _ = load(serve(), table, "--expect", str(table), "--lockstep")
    assert status == 0
    assert result["figures"]["answers"] == result["figures"]["checked"] > 0


def test_table_picture_and_json_go_to_a_directory(serve: Serve, table: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    status, printed, _ = load(serve(), table, "--output", str(tmp_path / "out"))
    assert status == 0
    assert json.loads((tmp_path / "out/load.json").read_text()) == printed
    assert "## Lookups" in (tmp_path / "out/load.md").read_text()
    assert (tmp_path / "out/load.png").read_bytes().startswith(b"\x89PNG")
