"""Filter templates: reading them, and telling with a schema which entries match, or that only the server can."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tables import evaluator
from vmaild.lookup import Entry
from vmaild.tables.filter import FilterTemplate
from vmaild.tables.matching import Shown
from vmaild.tables.schema import Schema
from vmaild.tables.template import Parts

SCHEMA = evaluator.schema()
KEY = Parts.of("a@d")

SHOWN = {
    "objectclass": (b"top", b"Sub"),
    "mail": (b"A@d", b"b@d"),
    "password": (b"Secret",),
    "description": ("stra\u00dfe".encode(), b"plain"),
    "uidnumber": (b"7",),
    "cn;lang-de": (),
    "o": (),
}


def verdict(
    text: str, key: Parts = KEY, schema: Schema = SCHEMA, *, entry: Mapping[str, tuple[bytes, ...]] = SHOWN
) -> bool | str | None:
    """What the tests of the filter say of the entry, both together; "server" where there are none."""
    tests = FilterTemplate(text).tests(schema)
    if tests is None:
        return "server"
    shown = Shown(Entry("cn=a,dc=x", entry), schema)
    said = [test(shown, key) for test in tests]
    return False if False in said else None if None in said else True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(mail=%s)", True),
        ("(mail=\\61@%d)", True),
        ("(rfc822Mailbox=B@D)", True),
        ("(0.9.2342.19200300.100.1.3=b@d)", True),
        ("(mail=c@d)", False),
        ("(objectClass=PERSON)", True),
        ("(objectClass=2.1.0)", True),
        ("(objectClass=group)", False),
        ("(password=Secret)", True),
        ("(password=secret)", False),
        ("(mail=*)", True),
        ("(uidNumber=*)", True),
        ("(cn=*)", True),
        ("(description=plain)", True),
        ("(&(mail=%s)(objectClass=person))", True),
        ("(&(mail=%s)(objectClass=group)(cn=x))", False),
        ("(|(objectClass=group)(mail=b@d))", True),
        ("(!(mail=%s))", False),
        ("(!(mail=c@d))", True),
    ],
)
def test_what_the_values_decide(text: str, expected: bool) -> None:
    assert verdict(text) is expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("(description=strasse)", "a value is not ASCII"),
        ("(description=*)", "none"),
        ("(mail=\u00fc@d)", "the filter's value is not ASCII"),
        ("(mail=a  b)", "spaces that the rule may squeeze"),
        ("(mail= a@d)", "the same, in front"),
        ("(mail=)", "an empty value"),
        ("(cn=x)", "only with options, values unknown"),
        ("(!(cn=x))", "the same, negated"),
        ("(o=x)", "came back by another name"),
        ("(maildrop=x)", "no value came back: hidden, or none"),
        ("(!(maildrop=*))", "the same, for presence"),
        ("(&(mail=%s)(maildrop=x))", "one part in doubt"),
        ("(|(mail=c@d)(maildrop=x))", "the same"),
    ],
)
def test_what_is_in_doubt(text: str, why: str) -> None:
    assert verdict(text) is (True if why == "none" else None)


@pytest.mark.parametrize(
    "text",
    [
        "(mail=a*)",
        "(uidNumber>=5)",
        "(uidNumber=7)",
        "(mail~=x)",
        "(cn:dn:=x)",
        "(cn;lang-de=x)",
        "(unknown=x)",
        "(!(unknown=*))",
        "(objectClass=unknown)",
        "(objectClass=%s)",
        "(member=cn=x)",
        "(&(mail=a@d)(uidNumber<=5))",
    ],
)
def test_what_only_the_server_decides(text: str) -> None:
    assert verdict(text) == "server"


def test_a_class_that_the_schema_does_not_have_leaves_every_class_in_doubt() -> None:
    assert verdict("(objectClass=group)", entry={"objectclass": (b"top", b"foreign")}) is None


def test_an_entry_that_shows_no_class_leaves_every_class_in_doubt() -> None:
    assert [verdict(f"(objectClass={name})", entry={}) for name in ("group", "top")] == [None, None]


def test_an_attribute_with_subtypes_is_never_without_a_value_for_certain() -> None:
    types = [b"( 1.1 NAME 'name' EQUALITY caseIgnoreMatch )", b"( 1.2 NAME 'cn' SUP name )"]
    schema = Schema(types, [])
    shown = {"cn": (b"a",)}
    for text, expected in (("(name=%s)", [True, None]), ("(cn=%s)", [True, False])):
        assert [verdict(text, Parts.of(key), schema, entry=shown) for key in "ab"] == expected


def test_an_attribute_that_has_values_under_an_option_too_never_lacks_one_for_certain() -> None:
    assert verdict("(cn=b)", entry={"cn": (b"a",), "cn;lang-de": ()}) is None
    assert verdict("(cn=b)", entry={"cn;lang-de": (), "cn": (b"a",)}) is None
    assert verdict("(cn=b)", entry={"cn": (b"a",), "cn;lang-de": (b"c",)}) is None


@pytest.mark.parametrize(
    ("text", "essence"),
    [
        ("(mail=%s)", "(mail=%s)"),
        ("(&(mail=%s)(objectClass=person))", "(mail=%s)"),
        ("(&(ObjectClass=person)(MAIL=%s)(o=%d)(cn=\\2a))", "(&(mail=%s)(o=%d)(cn=\\2a))"),
        ("(&(objectClass=person)(objectClass=top)(o=%d)(!(cn=a*)))", "(&(o=%d)(!(cn=a*)))"),
        ("(&(objectClass=person)(cn=100%%))", "(&(objectClass=person)(cn=100%%))"),
        ("(&(!(mail=%s))(objectClass=person))", "(&(!(mail=%s))(objectClass=person))"),
        ("(|(mail=%s)(objectClass=person))", "(|(mail=%s)(objectClass=person))"),
        ("(&(objectClass=%u))", "(&(objectClass=%u))"),
    ],
)
def test_the_essence_leaves_out_the_classes_beside_a_key(text: str, essence: str) -> None:
    assert FilterTemplate(text).essence() == essence


def test_a_hex_pair_is_the_byte_and_no_part_of_a_template() -> None:
    assert verdict("(mail=\\25s)") is False
    assert FilterTemplate("(mail=\\25s)").template.inserts == ()


VALUES = st.sampled_from(["a@d", "A@d", "b@d", "secret", "Secret", "x", "a  b", "\u00df", "person", "sub", "*", "7"])
NAMES = st.sampled_from(
    ["mail", "rfc822Mailbox", "cn", "commonName", "password", "objectClass", "uidNumber", "maildrop", "unknown"]
)
ITEMS = st.builds(lambda name, value: f"({name}={value.encode().decode('latin-1')})", NAMES, VALUES)


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lists = st.lists(inner, min_size=1, max_size=3).map("".join)
    return st.builds("({}{})".format, st.sampled_from("&|"), lists) | st.builds("(!{})".format, inner)


FILTERS = st.recursive(ITEMS, combined, max_leaves=6)
ENTRIES = st.fixed_dictionaries(
    {"objectclass": st.just((b"person",)) | st.just((b"top", b"sub"))},
    optional={
        name: st.lists(VALUES.map(str.encode), min_size=1, max_size=2).map(tuple)
        for name in ("mail", "cn", "password", "maildrop", "uidnumber")
    },
)


@given(FILTERS, ENTRIES, st.sets(st.sampled_from(["mail", "cn", "password", "objectclass"])))
def test_a_verdict_is_that_of_the_server_whatever_is_hidden(
    text: str, entry: dict[str, tuple[bytes, ...]], hidden: set[str]
) -> None:
    shown = {name: values for name, values in entry.items() if name not in hidden}
    said = verdict(text, entry=shown)
    if isinstance(said, bool):
        assert said is evaluator.matches(text, entry)


@given(ITEMS, ITEMS, FILTERS, ENTRIES)
def test_the_essence_matches_whatever_the_filter_matches(
    one: str, two: str, rest: str, entry: dict[str, tuple[bytes, ...]]
) -> None:
    template = FilterTemplate(f"(&{rest}{one.partition('=')[0]}=%s){two})")
    whole, essence = (text.replace("%s", KEY.text) for text in (template.text, template.essence()))
    assert evaluator.matches(essence, entry) or not evaluator.matches(whole, entry)


@pytest.mark.parametrize(
    "text", ["", "mail=%s", "(mail=%s", "(mail=%s))", "(!)", "(!(a=b)(c=d))", "(=x)", "(mail=a(b)", "(mail=%x)"]
)
def test_a_malformed_filter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        FilterTemplate(text)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ValueError, match="nested deeper than"):
        FilterTemplate("(!" * 60 + "(a=b)" + ")" * 60)
