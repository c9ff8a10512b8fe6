"""What a subschema entry says (RFC 4512, 4.1), as far as it decides what a filter matches."""

from __future__ import annotations

import pytest

from vmaild.tables.schema import Schema

NAME = b"( 2.5.4.41 NAME 'name' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.2.3{32768} )"
CN = b"( 2.5.4.3 NAME ( 'cn' 'commonName' ) DESC 'RFC4519: SUP ( of ) names' SUP name )"
NICK = b"( 1.1.1 NAME 'nick' OBSOLETE SUP cn SINGLE-VALUE X-ORIGIN ( 'here' 'EQUALITY x' ) )"
TOP = b"( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )"
THING = b"( 1.2.1 NAME ( 'thing' 'Ding' ) SUP top STRUCTURAL MUST ( name $ cn ) )"
GROUP = b"( 1.2.2 NAME 'group' SUP thing STRUCTURAL MAY sup )"


def test_an_attribute_has_all_its_names_and_those_of_its_subtypes() -> None:
    schema = Schema([NICK, CN, NAME], [])
    cn = schema.attribute("commonname")
    assert cn is not None
    assert cn == schema.attribute("2.5.4.3")
    assert cn.names == {"cn", "commonname", "2.5.4.3", "nick", "1.1.1"}
    assert not cn.alone


def test_a_matching_rule_is_inherited() -> None:
    nick = Schema([NAME, CN, NICK], []).attribute("nick")
    assert nick is not None
    assert (nick.equality, nick.alone) == ("caseignorematch", True)


def test_what_is_not_in_the_schema_or_hangs_on_what_is_not_is_unknown() -> None:
    schema = Schema([CN], [THING])
    assert schema.attribute("other") is None
    assert schema.attribute("cn") is None
    assert schema.classes((b"thing",)) is None


def test_an_entry_belongs_to_the_superclasses_of_its_classes_by_all_their_names() -> None:
    schema = Schema([], [GROUP, THING, TOP])
    assert schema.classes((b"Group",)) == {"group", "1.2.2", "thing", "ding", "1.2.1", "top", "2.5.6.0"}
    assert schema.classes((b"1.2.1",)) == {"thing", "ding", "1.2.1", "top", "2.5.6.0"}
    assert schema.classes((b"group", b"stranger")) is None
    assert schema.classes(()) is None
    assert schema.has_class("ding")
    assert not schema.has_class("stranger")


def test_the_words_of_a_definition_are_not_taken_for_its_keywords() -> None:
    classes = [TOP, b"( 1.3 SUP top MUST name MAY ( equality $ sup ) )", b"( 1.4 NAME 'sole' AUXILIARY MAY sup )"]
    schema = Schema([], classes)
    assert schema.classes((b"1.3",)) == {"1.3", "top", "2.5.6.0"}
    assert schema.classes((b"sole",)) == {"sole", "1.4", "top", "2.5.6.0"}


def test_every_entry_is_of_class_top_as_openldap_has_it() -> None:
    schema = Schema([], [TOP, b"( 1.4 NAME 'bare' STRUCTURAL )"])
    assert schema.classes((b"bare",)) == {"bare", "1.4", "top", "2.5.6.0"}


def test_definitions_that_stand_in_a_ring_end() -> None:
    schema = Schema([b"( 1.1 NAME 'a' SUP b )", b"( 1.2 NAME 'b' SUP a )"], [])
    a = schema.attribute("a")
    assert a is None or a.equality == ""


@pytest.mark.parametrize(
    "text", [b"", b"(", b"( 1.1", b"( 1.1 NAME", b"( 1.1 NAME (", b"\xff\xfe", b"( 1.1 NAME 'a' SUP"]
)
def test_a_broken_definition_breaks_nothing(text: bytes) -> None:
    schema = Schema([text, NAME], [text])
    assert schema.attribute("name") is not None
