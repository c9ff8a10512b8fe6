"""The commands of vmaild(8), from the parsers that read them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from vmaild.cli import parser
from vmaild.commands.texts import DESCRIPTIONS
from vmaild.manual.mdoc import prose

COMMON = ("-h", "-c", "--json")
"""They are described once for all commands."""


def commands(_: str) -> Iterator[str]:
    """The list items for all commands, each with a list of its own options."""
    for words, text, one in _leaves(parser(), []):
        yield f".It {_synopsis(words, one)}"
        yield from prose(DESCRIPTIONS.get(" ".join(words)) or _sentence(text))
        options = [action for action in one._actions if action.option_strings[:1] != [] and not _is_common(action)]
        if options:
            yield ".Pp"
            yield ".Bl -tag -width Ds -compact"
            for action in options:
                yield f".It {_flags(action)}"
                yield from prose(_sentence(action.help or ""))
            yield ".El"


def _leaves(
    one: argparse.ArgumentParser, words: Sequence[str]
) -> Iterator[tuple[Sequence[str], str, argparse.ArgumentParser]]:
    """Each command: its words, its line of help, its parser."""
    for action in one._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        lines = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for name, below in action.choices.items():
            if any(isinstance(inner, argparse._SubParsersAction) for inner in below._actions):
                yield from _leaves(below, [*words, name])
            else:
                yield [*words, name], lines[name], below


def _is_common(action: argparse.Action) -> bool:
    return action.option_strings[0] in COMMON


def _synopsis(words: Sequence[str], one: argparse.ArgumentParser) -> str:
    parts = [f"Ic {' '.join(words)}"]
    for action in one._actions:
        if action.option_strings:
            if action.option_strings[0] not in ("-h", "-c"):
                parts.append(f"Oo {_flags(action, ' | ')} Oc")
        else:
            name = f"Ar {_metavar(action)}"
            parts.append(f"Oo {name} Oc" if action.nargs == "?" else name)
    return " ".join(parts)


def _flags(action: argparse.Action, between: str = " , ") -> str:
    argument = ""
    if action.nargs != 0:
        name = f"Ar {_metavar(action)}"
        argument = f" Oo {name} Oc" if action.nargs == "?" else f" {name}"
    return between.join(f"Fl {option[1:]}" for option in action.option_strings) + argument


def _metavar(action: argparse.Action) -> str:
    name = action.metavar or action.dest.upper()
    assert isinstance(name, str)
    return name.replace("|", " | ")


def _sentence(text: str) -> str:
    """A line of argparse's help, which begins in lower case and ends without a stop, as a sentence."""
    text = text.replace("%%", "%")
    return f"{text[:1].upper()}{text[1:]}." if text else ""
