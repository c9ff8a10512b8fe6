"""What counts as bounced, wrong, lost, deferred and delivered."""

from __future__ import annotations

from tests.machines.company import Case
from tests.machines.sending import Message
from tests.machines.verdict import Row, judge, put_off_or_returned, report

ACCOUNT = Case("account", "user1@a.example", ("a.example/user1/",))
ROLE = Case("postmaster", "postmaster@a.example", ("a.example/user1/", "a.example/user2/"))
NOBODY = Case("unknown user", "nobody@a.example")


def message(case: Case, **more: object) -> Message:
    taken = Message(7, case, sent_at=100.0, taken_at=100.1)
    for name, value in more.items():
        setattr(taken, name, value)
    return taken


def verdict(one: Message, *folders: str, said: str = "") -> Row:
    copies = {one.subject: [(folder, 102.5) for folder in folders]}
    return judge("a fault", [one], copies, {"7": said} if said else {})


def test_mail_in_each_of_its_folders_is_delivered() -> None:
    row = verdict(message(ROLE), *ROLE.folders)

    assert (row.sent, row.delivered, row.deferred, row.longest, row.failures) == (1, 1, 0, 2.5, [])


def test_mail_that_was_put_off_by_either_side_is_deferred() -> None:
    for row in (
        verdict(message(ACCOUNT, put_off=["451"]), *ACCOUNT.folders),
        verdict(message(ACCOUNT), *ACCOUNT.folders, said="deferred (timeout)"),
    ):
        assert (row.delivered, row.deferred, row.failures) == (0, 1, [])


def test_mail_to_one_of_two_folders_is_lost() -> None:
    row = verdict(message(ROLE), ROLE.folders[0])

    assert (row.lost, row.delivered, len(row.failures)) == (1, 0, 1)


def test_mail_in_another_s_folder_is_wrong_even_beside_the_right_one() -> None:
    row = verdict(message(ACCOUNT), *ACCOUNT.folders, "a.example/user2/")

    assert (row.wrong, row.delivered, len(row.failures)) == (1, 0, 1)


def test_mail_that_was_refused_or_returned_is_bounced() -> None:
    for row in (
        verdict(message(ACCOUNT, taken_at=0.0, refused="550")),
        verdict(message(ACCOUNT), said="bounced (unknown user)"),
        verdict(message(ROLE), ROLE.folders[0], said="bounced (unknown user)"),
    ):
        assert (row.bounced, row.delivered, len(row.failures)) == (1, 0, 1)


def test_a_second_copy_is_counted_and_no_failure() -> None:
    row = verdict(message(ACCOUNT), *ACCOUNT.folders, *ACCOUNT.folders)

    assert (row.delivered, row.twice, row.failures) == (1, 1, [])


def test_mail_for_nobody_must_be_refused() -> None:
    refused = verdict(message(NOBODY, taken_at=0.0, refused="550"))
    taken = verdict(message(NOBODY), "a.example/user1/")

    assert (refused.sent, refused.refused, refused.failures) == (0, 1, [])
    assert (taken.refused, taken.wrong, len(taken.failures)) == (0, 1, 1)


def test_the_log_tells_what_became_of_a_message_and_a_bounce_counts_most() -> None:
    log = """\
Nov 26 postfix/cleanup[1]: 4F1: message-id=<7@machines.elsewhere.example>
Nov 26 postfix/virtual[1]: 4F1: to=<a@a.example>, relay=virtual, dsn=5.1.1, status=bounced (unknown user: "a")
Nov 26 postfix/virtual[1]: 4F1: to=<b@a.example>, relay=virtual, dsn=4.3.0, status=deferred (later)
Nov 26 postfix/cleanup[1]: 4F2: message-id=<8@machines.elsewhere.example>
Nov 26 postfix/virtual[1]: 4F2: to=<a@a.example>, relay=virtual, dsn=2.0.0, status=sent (delivered to maildir)
"""

    assert put_off_or_returned([log]) == {"7": 'bounced (unknown user: "a")'}


def test_the_table_has_a_line_for_each_fault() -> None:
    row = Row("a fault", sent=3, changes=[("mended", 0.1)])

    heading, line = report([row]).splitlines()[:2]

    assert heading.split()[:2] == ["fault", "sent"]
    assert line.split()[:3] == ["a", "fault", "3"]
    assert line.endswith("mended 0.10 s")


def test_a_change_may_take_a_second_to_show_and_longer_only_where_links_were_down() -> None:
    row = Row("slow")
    row.changes = [("slow", 0.7), ("slow no more", 1.4), ("not following", 2.5), ("split, made up for", 9.0)]
    assert row.late == [("slow no more", 1.4)]
    row.changes = [("not following", 5.0), ("cut off, made up for", float("inf"))]
    assert row.late == row.changes
