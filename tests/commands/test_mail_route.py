"""Where mail ends: aliases followed as cleanup(8) follows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from vmaild.commands.mail_route import Ends, Fails, Recipient, Site, route, values_of


def site(aliases: Mapping[str, Sequence[str]], **options: object) -> Site:
    def lookup(address: str) -> Sequence[str]:
        if address == "fails@here.example":
            raise Fails("directory unavailable")
        return aliases.get(address, ())

    return Site(
        lookup,
        lambda domain: domain == "here.example",
        lambda address: f"here.example/{address.partition('@')[0]}/" if address.startswith("box") else "",
        **options,
    )


def ends(address: str, aliases: Mapping[str, Sequence[str]], **options: object) -> list[tuple[str, Ends]]:
    return [(one.address, one.ends) for one in route(address, site(aliases, **options))]


def test_an_address_without_alias_ends_by_its_domain() -> None:
    assert ends("box@here.example", {}) == [("box@here.example", Ends.MAILBOX)]
    assert ends("no@here.example", {}) == [("no@here.example", Ends.UNKNOWN)]
    assert ends("a@there.example", {}) == [("a@there.example", Ends.REMOTE)]
    assert ends("root", {}) == [("root@localhost", Ends.LOCAL)]


def test_the_way_is_told() -> None:
    found = route(
        "a@here.example", site({"a@here.example": ["b@here.example"], "b@here.example": ["box@here.example"]})
    )
    way = ("a@here.example", "b@here.example")
    assert found == [Recipient("box@here.example", Ends.MAILBOX, "here.example/box/", way)]


def test_an_address_that_expands_into_itself_is_kept_once() -> None:
    aliases = {"box@here.example": ["box@here.example", "copy@there.example"]}
    assert ends("box@here.example", aliases) == [
        ("box@here.example", Ends.MAILBOX),
        ("copy@there.example", Ends.REMOTE),
    ]


def test_a_loop_that_passes_an_address_which_expands_into_itself_ends_there() -> None:
    aliases = {"box@here.example": ["box@here.example", "b@here.example"], "b@here.example": ["box@here.example"]}
    assert ends("box@here.example", aliases) == [("box@here.example", Ends.MAILBOX)]


def test_a_loop_is_named_with_its_way() -> None:
    aliases = {"a@here.example": ["b@here.example"], "b@here.example": ["c@here.example", "a@here.example"]}
    (loop, *others) = route("a@here.example", site(aliases))
    assert loop.ends is Ends.LOOP
    assert loop.text.startswith("a@here.example -> b@here.example -> a@here.example:")
    assert others == []


def test_what_passes_an_address_that_expands_into_itself_is_no_loop() -> None:
    aliases = {"a@here.example": ["box@here.example"], "box@here.example": ["a@here.example", "box@here.example"]}
    assert ends("a@here.example", aliases) == [("box@here.example", Ends.MAILBOX)]


def test_a_loop_that_grows_is_named_too() -> None:
    aliases = {
        "a@here.example": ["x@there.example", "b@here.example"],
        "b@here.example": ["y@there.example", "a@here.example"],
    }
    (loop,) = route("a@here.example", site(aliases))
    assert loop.ends is Ends.LOOP
    assert "a@here.example -> b@here.example -> a@here.example" in loop.text


def test_an_address_that_is_too_long_is_not_accepted() -> None:
    (found,) = route("a@here.example", site({"a@here.example": ["x" * 1000 + "@there.example"]}))
    assert (found.ends, "1000 letters" in found.text) == (Ends.WAITS, True)


def test_the_table_is_asked_once_for_an_address() -> None:
    asked: list[str] = []
    loop = site({})
    loop.lookup = lambda address: asked.append(address) or ["a@here.example", "b@here.example"]  # type: ignore[func-returns-value]
    assert route("c@here.example", loop)
    assert sorted(asked) == ["a@here.example", "b@here.example", "c@here.example"]


def test_recipients_reached_twice_are_told_once() -> None:
    aliases = {"a@here.example": ["b@here.example", "box@here.example"], "b@here.example": ["box@here.example"]}
    assert ends("a@here.example", aliases) == [("box@here.example", Ends.MAILBOX)]


def test_an_alias_for_a_whole_domain_keeps_the_localpart() -> None:
    assert ends("x+y@here.example", {"x+y@here.example": ["@there.example"]}) == [("x+y@there.example", Ends.REMOTE)]


def test_a_failing_table_makes_the_message_wait() -> None:
    found = ends("a@here.example", {"a@here.example": ["box@here.example", "fails@here.example"]})
    assert found == [("fails@here.example", Ends.WAITS), ("box@here.example", Ends.MAILBOX)]


def test_more_recipients_than_the_limit_are_not_accepted() -> None:
    many = [f"u{number}@there.example" for number in range(4)]
    assert ends("a@here.example", {"a@here.example": many}, expansion_limit=4)[0][1] is Ends.REMOTE
    assert ends("a@here.example", {"a@here.example": many}, expansion_limit=3)[0][1] is Ends.WAITS


def test_more_steps_than_the_limit_are_not_accepted() -> None:
    chain = {f"u{number}@here.example": [f"u{number + 1}@here.example"] for number in range(5)}
    assert ends("u0@here.example", chain, recursion_limit=6)[0][1] is Ends.UNKNOWN
    (found,) = route("u0@here.example", site(chain, recursion_limit=5))
    assert found.ends is Ends.WAITS
    assert "virtual_alias_recursion_limit" in found.text


@pytest.mark.parametrize(
    ("text", "values"),
    [("a@b, c@d", ["a@b", "c@d"]), ('"a,b"@c', ['"a,b"@c']), ("", [])],
)
def test_commas_in_quotes_separate_nothing(text: str, values: list[str]) -> None:
    assert values_of(text) == values
