"""ldap_table(5) files over all settings, and keys to ask them, from a seed."""

from __future__ import annotations

from random import Random

from tests.oracle.trees import BASE, DOMAINS, LISTS, LOCALPARTS, Tree

Settings = dict[str, str]

BASES = (
    BASE,
    BASE,
    BASE,
    LISTS,
    f"o=%d,{BASE}",
    f"o=%2.%1,{BASE}",
    f"o=one.example,{BASE}",
    f"cn=%u,{LISTS}",
    f"o=%s,{BASE}",
)
FILTERS = (
    "(mail=%s)",
    "(mail=%s)",
    "(&(mail=%s)(objectClass=organizationalRole))",
    "(|(mail=%s)(cn=%u))",
    "(mail=%u@%d)",
    "(mail=%U@%D)",
    "(mail=%u@%2.%1)",
    "(mail=%u@%2.%1)",
    "(&(mail=%s)(!(cn=%3)))",
    "(&(mail=*)(mail=%s))",
    "(mail=%u@one.example)",
    "(mail=*@%d)",
    "(|(mail=%s)(maildrop=%s))",
    "(&(mail=%s)(info=*))",
    "(&(mail=%s)(!(description=end*)))",
    "(mail~=%s)",
    "(cn=%s)",
    "mail=%s",
    "(& (mail=%s)  (|(cn=*) (o=*) ) )",
    "(&(mail=%s)(!(cn=%%)))",
)
FORMATS = (
    "%s",
    "%s",
    "%u",
    "%d",
    "<%s>",
    "%u@other.example",
    "%s,%S",
    "%S",
    "%U+%u@%D",
    "%1:%s",
    "smtp:[%d]",
    "%s@%2",
    "%%%s",
    "OK",
)
LISTED = ("maildrop", "mail", "info", "description", "maildrop, info", "MailDrop mail", "cn", "")
SPECIAL = ("", "", "member", "labeledURI", "member, labeledURI")


def make_settings(random: Random) -> Settings:
    """One table's settings, apart from the server's."""
    made: Settings = {"search_base": random.choice(BASES), "query_filter": random.choice(FILTERS)}
    if random.random() < 0.85:
        made["result_attribute"] = random.choice(LISTED)
    for name, chance in (("leaf_result_attribute", 0.25), ("terminal_result_attribute", 0.2)):
        if random.random() < chance:
            made[name] = random.choice(LISTED)
    if special := random.choice(SPECIAL):
        made["special_result_attribute"] = special
        if random.random() < 0.3:
            made["leaf_result_attribute"] = made["result_attribute"] = random.choice(("mail", "maildrop, mail"))
    if random.random() < 0.35:
        made[random.choice(("result_format", "result_format", "result_filter"))] = random.choice(FORMATS)
    if random.random() < 0.3:
        made["scope"] = random.choice(("sub", "one", "base", "SUB"))
    if random.random() < 0.35:
        made["domain"] = random.choice(
            (
                "one.example",
                "one.example, two.example",
                "ONE.example example",
                "!one.example one.example sub.one.example",
            )
        )
    made |= _limits(random)
    return made


def _limits(random: Random) -> Settings:
    made: Settings = {}
    if random.random() < 0.25:
        made["size_limit"] = random.choice(("1", "1", "2", "5", "100"))
    if random.random() < 0.2:
        made["expansion_limit"] = random.choice(("1", "2", "3", "4", "50"))
    # Never the default: in a loop it would be a thousand searches for each key.
    made["recursion_limit"] = random.choice(("1", "2", "3", "10", "30", "30", "30", "30"))
    return made


def make_keys(random: Random, tree: Tree, count: int) -> list[str]:
    """Keys that are present, absent and malformed."""
    makers = (_present, _present, _present, _present, _absent, _shape, _shape, _shape, _catch_all)
    return [random.choice(makers)(random, tree) for _ in range(count)]


def _present(random: Random, tree: Tree) -> str:
    address = random.choice(tree.addresses)
    return random.choice((address, address, address.upper(), address.title())) if address.isascii() else address


def _absent(random: Random, tree: Tree) -> str:
    domain = random.choice((*DOMAINS, "three.example", "a.b.c.d.example"))
    return random.choice((f"nobody@{domain}", f"{random.choice(LOCALPARTS)}@{domain}"))


def _catch_all(random: Random, tree: Tree) -> str:
    return f"@{random.choice(DOMAINS)}"


def _shape(random: Random, tree: Tree) -> str:
    domain = random.choice(DOMAINS)
    localpart, _, own = random.choice(tree.addresses).rpartition("@")
    shapes = (
        domain, f"@{domain}", "ann", f"*@{domain}", "*", "", "@", f"ann@{domain})(cn=*", "\\2a", f"a\\6en@{domain}",
        f"a@b@{domain}", f'"two words"@{domain}', f"ann@.{domain}", f"ann@{domain}.", f"ann@one..{domain}", "ann@",
        f"ann+tag@{domain}", "plain0", "ÜNÏ@one.example", f" ann@{domain}", f"ann@{domain} ", "group1", "%s", "%u@%d",
        "a\udcffb@one.example",
        "ann@[192.0.2.1]",
        f"@{own}", f"{localpart}@{own}.", f"{localpart}@{own.replace('.', '..')}", f"{localpart}@.{own}",
    )  # fmt: skip
    return random.choice(shapes)
