"""The soak's judgement: what it must find, on runs made up for it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from tests.soak.changes import ABSENT, History
from tests.soak.oracle import Question
from tests.soak.samples import Sample
from tests.soak.schedule import GRACE, Window
from tests.soak.tally import Tally
from tests.soak.verdict import DESCRIPTORS_RISE, HEARD, MEMORY_RISE, TASKS_RISE, Outcome, fit
from vmaild.lookup import NOT_FOUND, Reply, Status, found, temporary

SECONDS = 600.0
QUESTION = Question(b"map", b"a@d.example", Status.FOUND, b"right")


def sample(at: float, *, resident: float = 50e6, held: float = 20, tasks: float = 6) -> Sample:
    return Sample(at, int(resident), 0, 0, int(held), 7, int(tasks), 60, 5000, 0, {})


def outcome(*, grow: str = "", by: float = 0.0, tally: Tally | None = None, windows: Any = ()) -> Outcome:
    usual = {"resident": 50e6, "held": 20.0, "tasks": 6.0}
    samples = []
    for at in range(0, int(SECONDS) + 1, 2):
        # Everything grows before the second half.
        risen = by * max(0.0, at - SECONDS / 2) / (SECONDS / 2)
        warm = min(1.0, 2 * at / SECONDS)
        values = {name: warm * value + (risen if name == grow else 0) for name, value in usual.items()}
        samples.append(sample(float(at), **values))
    tally = tally or Tally()
    tally.answers = 1
    worker = SimpleNamespace(name="probe", tally=tally, waited=[], last_words=str)
    return Outcome(0.0, SECONDS, samples, list(windows), [worker])


def test_a_run_that_only_warms_up_has_no_problem() -> None:
    assert outcome().problems() == []


@pytest.mark.parametrize(
    ("what", "allowed"), [("resident", MEMORY_RISE), ("held", DESCRIPTORS_RISE), ("tasks", TASKS_RISE)]
)
def test_what_goes_on_growing_after_the_warm_up_is_found(what: str, allowed: Any) -> None:
    (problem,) = outcome(grow=what, by=2.5 * allowed).problems()
    assert "rose" in problem
    assert outcome(grow=what, by=allowed / 2).problems() == []


def test_twenty_megabytes_an_hour_are_found_in_half_an_hour() -> None:
    line = fit([(float(at), at * 20 * 2**20 / 3600) for at in range(900)])
    assert line.rise > MEMORY_RISE
    assert line.an_hour == pytest.approx(20 * 2**20)


def test_temp_is_right_only_while_something_is_down_and_a_while_after_it() -> None:
    def problems(at: float, *, outage: bool, asked: float = 0) -> list[str]:
        tally = Tally()
        tally.temporary[f"{int(asked or at)} {int(at)}"] += 3
        return outcome(tally=tally, windows=[Window("restart", 100.0, 110.0, outage)]).problems()

    assert problems(105, outage=True) == []
    assert problems(110 + GRACE - 1, outage=True) == []
    assert problems(110 + GRACE + 2, outage=True) != []
    assert problems(95, outage=True) != []
    assert problems(110 + GRACE + 9, outage=True, asked=109) == [], "a slow reader reads it late"
    assert "3 x TEMP with nothing down, at 105 s (restart)" in problems(105, outage=False)[0]


def test_a_slow_client_is_cut_only_where_the_daemon_was_paused() -> None:
    def problems(name: str) -> list[str]:
        tally = Tally()
        tally.cut["111"] += 1
        return outcome(tally=tally, windows=[Window(name, 100.0, 110.5, True)]).problems()

    assert problems("pause") == []
    assert problems("suspend") != []


def test_an_older_value_is_right_until_its_change_is_heard_and_for_as_long_as_something_was_down() -> None:
    def problems(age: float, windows: Any = ()) -> list[str]:
        tally = Tally()
        tally.old.append((300.0, age, "key: FOUND old"))
        return outcome(tally=tally, windows=windows).problems()

    assert problems(HEARD - 0.1) == []
    assert problems(HEARD + 0.1) != []
    assert problems(HEARD + 5, [Window("suspend", 290.0, 295.0, True)]) == []
    assert problems(HEARD + 5, [Window("flush", 290.0, 295.0, False)]) != []


def test_a_run_in_which_changes_were_not_heard_is_found() -> None:
    run = outcome(windows=[Window("restart", 100.0, 110.0, True)])
    for one in run.samples:
        one.told = {"changes": {"mode": "none" if 100 <= one.at <= 110 + GRACE else "sync"}}
    assert run.problems() == []
    for one in run.samples:
        one.told = {"changes": {"mode": "poll"}}
    assert "not arrive by sync" in run.problems()[0]


def test_a_client_that_was_never_answered_and_a_wrong_answer_are_found() -> None:
    tally = Tally()
    tally.mistake("somebody else's value")
    run = outcome(tally=tally)
    assert "somebody else's value" in run.problems()[0]
    tally.answers = 0
    assert any("not answered" in problem for problem in run.problems())


@pytest.mark.parametrize("reply", [NOT_FOUND, found(b"another's"), Reply(Status.PERMANENT, b"why")])
def test_the_oracle_takes_no_other_answer(reply: Any) -> None:
    assert QUESTION.wrong(reply)
    assert not QUESTION.wrong(found(b"right"))
    assert not QUESTION.wrong(temporary("busy"))
    assert QUESTION._replace(status=Status.NOT_FOUND, value=b"").wrong(found(b"right"))


def test_the_history_knows_for_how_long_a_value_has_not_been_right(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Any = SimpleNamespace(monotonic=lambda: clock.now, now=10.0)
    monkeypatch.setattr("tests.soak.changes.time", clock)
    history = History(["key"])
    history.begin("key", "one")
    assert history.age("key", ABSENT, 11.0) == 0.0, "while it is written either may be read"
    history.end("key", "one")
    assert history.age("key", ABSENT, 13.0) == 3.0
    assert history.age("key", "one", 13.0) == 0.0
    assert history.age("key", "never", 13.0) is None


def test_a_tally_arrives_as_it_was_emitted(capsys: pytest.CaptureFixture[str]) -> None:
    sent, got = Tally(), Tally()
    sent.answers, sent.latencies = 3, [0.1]
    sent.mistake("wrong")
    sent.temporary_since(1.0)
    sent.old.append((1.0, 2.0, "old"))
    sent.emit()
    got.add(json.loads(capsys.readouterr().out))
    assert (got.answers, got.wrong, got.temporary.total(), got.old) == (3, 1, 1, [(1.0, 2.0, "old")])
    assert sent == Tally()
