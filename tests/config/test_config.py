"""The configuration file: every problem at once, each with file, table and key."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from vmaild.cache import CacheSettings
from vmaild.config import DEFAULT_LISTEN, DaemonSettings, load
from vmaild.config.ranges import RANGES
from vmaild.directory import DirectorySettings
from vmaild.errors import ConfigError

MINIMAL = """
preset = "courier"
[directory]
uri = ["ldap://127.0.0.1"]
search_base = "o=hosting,dc=x"
"""


def problems(read: Any, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read(text)
    return [problem.partition("vmaild.toml: ")[2] for problem in error.value.problems]


def test_a_preset_and_a_server_are_enough(read: Any) -> None:
    config = read(MINIMAL)
    assert set(config.maps.tables) == {
        "virtual_mailbox_domains",
        "virtual_mailbox_maps",
        "virtual_alias_maps",
        "smtpd_sender_login_maps",
        "virtual_uid_maps",
        "virtual_gid_maps",
    }
    assert [listen.address for listen in config.listen] == [DEFAULT_LISTEN]
    assert config.directory.timeout == 3.0
    assert config.cache.ttl == 300
    assert config.warnings == ()


def test_every_setting_of_the_example_arrives(read: Any, tmp_path: Path) -> None:
    (tmp_path / "bind_pw").write_text("secret\n")
    (tmp_path / "bind_pw").chmod(0o600)
    config = read(
        """
preset = "courier"
recipient_delimiter = "+-"
[directory]
uri = "ldap://localhost"
search_base = "o=hosting,dc=x"
bind_dn = "cn=vmaild,dc=x"
bind_pw_file = "bind_pw"
timeout = 4
pool_size = 8
[[listen]]
address = "unix:/run/vmaild/socketmap"
mode = "0660"
group = "postfix"
[[listen]]
address = "inet:[::1]:10144"
protocol = "tcp_table"
map = "virtual_alias_maps"
[cache]
ttl = 60
max_entries = 10
[http]
address = "inet:127.0.0.1:9143"
[control]
address = "unix:/tmp/control"
"""
    )
    assert config.daemon.recipient_delimiter == "+-"
    assert config.directory.uri == ("ldap://localhost",)
    assert config.directory.bind_pw == "secret"
    assert (config.directory.timeout, config.directory.pool_size) == (4.0, 8)
    first, second = config.listen
    assert (first.address, first.mode, first.group) == ("unix:/run/vmaild/socketmap", 0o660, "postfix")
    assert (second.protocol, second.map) == ("tcp_table", "virtual_alias_maps")
    assert (config.cache.ttl, config.cache.max_entries) == (60, 10)
    assert (config.http.address, config.control) == ("inet:127.0.0.1:9143", "unix:/tmp/control")


def test_every_problem_is_told_at_once_with_its_table_and_key(read: Any) -> None:
    found = problems(
        read,
        """
preset = "courrier"
recipent_delimiter = "+"
[directory]
timeout = "fast"
pool_sise = 4
[cache]
ttl = -1
max_entries = 0
max_size = 1000
[[listen]]
protocol = "tcp"
[[listen]]
address = "inet:127.0.0.1:99999"
[maps.own]
query_filter = "(mail=%x)"
scope = "subtree"
keys = "adress"
[maps.other]
result_attribute = 5
""",
    )
    assert found == [
        "recipent_delimiter: unknown key; did you mean 'recipient_delimiter'?",
        "preset: must be one of courier, qmail-ldap, inetlocalmailrecipient, active-directory, iredmail,"
        " not 'courrier'; did you mean 'courier'?",
        "[directory] pool_sise: unknown key; did you mean 'pool_size'?",
        "[directory] timeout: must be a number, not a string",
        "[directory] uri: is missing",
        "[directory] search_base: is missing",
        "[maps.own] keys: must be one of address, domain, exact, transport, access, local, not 'adress';"
        " did you mean 'address'?",
        "[maps.own] query_filter: '(mail=%x)': unknown %x",
        "[maps.own] scope: must be one of base, one, sub, not 'subtree'; did you mean 'sub'?",
        "[maps.other] query_filter: is missing; write '(mailacceptinggeneralid=%s)' for the default of ldap_table(5)",
        "[maps.other] result_attribute: must be a string or a list of strings, not a number",
        "[listen 1] address: is missing",
        "[listen 1] protocol: must be one of socketmap, tcp_table, not 'tcp'",
        found[13],
        "[cache] ttl: must be 0 to 2592000 seconds, not -1",
        "[cache] max_size: must be 8388608 to 1099511627776 bytes, not 1000",
        "[cache] max_entries: must be 1 to 100000000, not 0",
    ]
    assert found[13].startswith("[listen 2] address: ")


def test_a_missing_file_and_broken_toml_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: No such file"):
        load(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("x = =\n")
    with pytest.raises(ConfigError, match=r"broken\.toml: .*line 1"):
        load(tmp_path / "broken.toml")


def test_the_problems_of_the_directory_are_told_with_their_keys(read: Any) -> None:
    found = problems(
        read,
        """
preset = "courier"
[directory]
uri = ["ldap://ldap.example"]
search_base = "o=hosting"
bind_dn = "cn=x"
bind_pw = "y"
""",
    )
    assert len(found) == 1
    assert found[0].startswith("[directory] uri: ")
    assert "clear text" in found[0]


def test_a_tcp_table_listener_needs_a_map_and_a_socketmap_listener_has_none(read: Any) -> None:
    text = (
        MINIMAL
        + """
[[listen]]
address = "inet:127.0.0.1:1"
protocol = "tcp_table"
[[listen]]
address = "inet:127.0.0.1:2"
protocol = "tcp_table"
map = "virtual_alias_map"
[[listen]]
address = "inet:127.0.0.1:3"
map = "virtual_alias_maps"
mode = "0660"
[[listen]]
address = "inet:127.0.0.1:1"
"""
    )
    assert problems(read, text) == [
        "[listen 1] map: is missing; tcp_table has no map names of its own",
        "[listen 2] map: no map named 'virtual_alias_map'; did you mean 'virtual_alias_maps'?",
        '[listen 3] map: is only for protocol = "tcp_table"; socketmap clients name the map',
        "[listen 3] mode: is only for unix: addresses",
        "[listen 4] address: 'inet:127.0.0.1:1' is the address of [listen 1]: write another port or path",
    ]


def test_a_blank_credential_is_none(read: Any, tmp_path: Path) -> None:
    """The unit has one where there is no /etc/vmaild/bind_pw, since systemd would not start the service without."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "bind_pw").write_text("\n")
    (tmp_path / "pw").write_text("from the file\n")
    (tmp_path / "pw").chmod(0o600)
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    config = read(MINIMAL + 'bind_dn = "cn=x"\nbind_pw_file = "pw"\n', environ)
    assert config.directory.bind_pw == "from the file"


def test_the_password_may_come_as_a_systemd_credential(read: Any, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "bind_pw").write_text("from systemd\n")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    config = read(MINIMAL + 'bind_dn = "cn=x"\n', environ)
    assert config.directory.bind_pw == "from systemd"
    unreadable = 'bind_dn = "cn=x"\nbind_pw_file = "/nonexistent"\n'
    assert read(MINIMAL + unreadable, environ).directory.bind_pw == "from systemd"
    assert "from systemd" not in repr(config)


def test_a_password_file_that_everybody_can_read_is_warned_about(read: Any, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("secret")
    (tmp_path / "pw").chmod(0o644)
    config = read(MINIMAL + 'bind_dn = "cn=x"\nbind_pw_file = "pw"\n')
    assert len(config.warnings) == 1
    assert "pw: can be read by every user" in config.warnings[0]


@pytest.mark.parametrize(
    ("content", "text"), [(None, "No such file"), (b"", "is empty"), (b"\n", "is empty"), (b"x" * 5000, "too long")]
)
def test_a_password_file_that_cannot_be_used_is_a_problem(
    read: Any, tmp_path: Path, content: bytes | None, text: str
) -> None:
    if content is not None:
        (tmp_path / "pw").write_bytes(content)
    found = problems(read, MINIMAL + 'bind_dn = "cn=x"\nbind_pw_file = "pw"\n')
    assert "[directory] bind_pw_file" in found[0]
    assert text in found[0]


def test_two_passwords_are_a_problem(read: Any) -> None:
    found = problems(read, MINIMAL + 'bind_dn = "cn=x"\nbind_pw = "a"\nbind_pw_file = "b"\n')
    assert found == ["[directory] bind_pw_file: and bind_pw are mutually exclusive: set one of the two"]


def test_keys_of_a_preset_map_change_its_first_query_and_leave_the_rest(read: Any) -> None:
    config = read(MINIMAL + '[maps.virtual_alias_maps]\nresult_attribute = "mailForward"\nunique = true\n')
    table = config.maps.tables["virtual_alias_maps"]
    assert [query.expansion.result_attribute for query in table.queries] == [("mailforward",), (), ("mail",)]
    assert table.queries[0].search_base.text == "o=%d,o=hosting,dc=x"
    assert (table.settings.unique, table.settings.propagate_extension) == (True, True)


def test_result_format_has_an_old_name_too(read: Any) -> None:
    for text, wanted in (('result_filter = "<%s>"', "<%s>"), ('result_filter = "x"\nresult_format = "%u"', "%u")):
        config = read(f'{MINIMAL}[maps.own]\nquery_filter = "mail=%s"\n{text}\n')
        assert config.maps.tables["own"].queries[0].expansion.result_format.text == wanted


def test_query_tables_replace_those_of_the_preset(read: Any) -> None:
    config = read(MINIMAL + '[[maps.virtual_alias_maps.query]]\nquery_filter = "(mail=%s)"\n')
    (query,) = config.maps.tables["virtual_alias_maps"].queries
    assert query.search_base.text == "o=hosting,dc=x"
    assert query.expansion.result_attribute == ("maildrop",)


def test_words_may_be_written_as_postfix_does(read: Any) -> None:
    config = read(
        MINIMAL + '[maps.own]\nquery_filter = "(mail=%s)"\nresult_attribute = "A, b  c"\ndomain = "X.example"\n'
    )
    (query,) = config.maps.tables["own"].queries
    assert query.expansion.result_attribute == ("a", "b", "c")
    assert query.domain == {"x.example"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[maps.own]\nquery_filter = "(mail=%s"', "[maps.own] query_filter: '(mail=%s': ')' expected at character 9"),
        ('[maps.own]\nquery_filter = "(a=b)"\nsize_limit = -1', "[maps.own] size_limit: must not be negative"),
        ('[maps.own]\nquery_filter = "(a=b)"\nrecursion_limit = 0', "[maps.own] recursion_limit: must be at least 1"),
        ('[maps.own]\nquery_filter = "(a=b)"\ndomain = "hash:/etc/x"',
         "[maps.own] domain: 'hash:/etc/x': an indexed file is not read; name its source as texthash:FILE, or write the"
         " domains out"),
        ('[maps."a b"]\nquery_filter = "(a=b)"', "[maps.a b]: a map's name is printable ASCII without spaces"),
        ('[maps.Virtual_alias_maps]\nquery_filter = "(a=b)"',
         "[maps.Virtual_alias_maps]: the same name is here twice; letter case is not significant"),
        ('[maps.own]\nquery_filter = "(a=b)"\nquery = [{query_filter = "(c=d)"}]',
         "[maps.own] query_filter: must be in one of the map's [[query]] tables"),
        ('[maps.own]\nquery = [{querry_filter = "(c=d)"}]',
         "[maps.own.query 1] querry_filter: unknown key; did you mean 'query_filter'?"),
        ("[maps]\nown = 3", "maps.own: must be a table, not a number"),
    ],
)  # fmt: skip
def test_a_wrong_map_names_table_and_key(read: Any, text: str, problem: str) -> None:
    assert problem in problems(read, MINIMAL + text + "\n")


def test_a_file_without_maps_is_a_problem(read: Any) -> None:
    assert problems(read, MINIMAL.replace('preset = "courier"', "")) == [
        "maps: no map is defined: set preset, or add a [maps.NAME] table"
    ]


def test_every_number_of_the_settings_has_its_range() -> None:
    for table, kind in (("", DaemonSettings), ("directory", DirectorySettings), ("cache", CacheSettings)):
        numbers = {field.name for field in dataclasses.fields(kind) if str(field.type) in ("int", "float")}
        assert numbers == set(RANGES[table]), table
        defaults = {field.name: field.default for field in dataclasses.fields(kind)}
        assert [key for key in numbers if RANGES[table][key].problem(defaults[key])] == []


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e308", "9" * 400])
def test_no_number_may_be_infinite_or_none_at_all(read: Any, value: str) -> None:
    found = problems(
        read,
        f"watchdog = {value}\ndrain_timeout = {value}\n"
        + MINIMAL
        + f"timeout = {value}\nmax_lifetime = {value}\n[cache]\nttl = {value}\nstale_ttl = {value}\n",
    )
    assert [problem.partition(": must be ")[0] for problem in found] == [
        "watchdog",
        "drain_timeout",
        "[directory] timeout",
        "[directory] max_lifetime",
        "[cache] ttl",
        "[cache] stale_ttl",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("watchdog = 0.001\n" + MINIMAL, "watchdog: must be 0 (never), or 1 to 3600 seconds, not 0.001"),
        ("max_connections = 0\n" + MINIMAL, "max_connections: must be 1 to 1000000, not 0"),
        (MINIMAL + "[cache]\nttl = inf\n", "[cache] ttl: must be 0 to 2592000 seconds, not inf"),
        (MINIMAL + "[cache]\nttl = nan\n", "[cache] ttl: must be 0 to 2592000 seconds, not nan"),
        (MINIMAL.replace("o=hosting,dc=x", "hosting"),
         "[directory] search_base: 'hosting' is no DN: write attribute=value pairs such as"
         ' "o=hosting,dc=example,dc=com"'),
        (MINIMAL + '[maps.own]\nquery_filter = "(a=b)"\nsearch_base = "%d,dc=x"',
         "[maps.own] search_base: '%d,dc=x' is no DN: write attribute=value pairs such as \"o=%d,o=hosting\""),
        (MINIMAL + '[maps.virtual_mailbox_maps]\ncanary = ""',
         "[maps.virtual_mailbox_maps] canary: '' is no address: write one that must always be found,"
         ' "you@example.com"'),
        (MINIMAL + '[maps.virtual_mailbox_maps]\ncanary = ["a@b", "notanaddress"]',
         "[maps.virtual_mailbox_maps] canary: 'notanaddress' is no address: write one that must always be found,"
         ' "you@example.com"'),
        (MINIMAL + '[maps.virtual_mailbox_domains]\ncanary = "a@b.example"',
         "[maps.virtual_mailbox_domains] canary: 'a@b.example' is no domain: write one that must always be found,"
         ' "example.com"'),
        (MINIMAL + '[http]\naddress = "inet:127.0.0.1:10143"',
         "[http] address: 'inet:127.0.0.1:10143' is the address of [listen 1]: write another port or path"),
        (MINIMAL + '[http]\naddress = "inet:localhost:10143"',
         "[http] address: 'inet:localhost:10143' collides with 'inet:127.0.0.1:10143', the address of [listen 1]:"
         " write another port or path"),
        (MINIMAL + '[[listen]]\naddress = "unix:/run/a"\n[control]\naddress = "unix:/run//a"',
         "[control] address: 'unix:/run//a' collides with 'unix:/run/a', the address of [listen 1]: write another"
         " port or path"),
        (MINIMAL + '[[listen]]\naddress = "inet:0.0.0.0:10143"',
         "[listen 1] allow: is missing: everybody who reaches inet:0.0.0.0:10143 could ask. Add the networks of the"
         ' hosts that ask, such as allow = ["192.0.2.0/24"], or listen on 127.0.0.1'),
        (MINIMAL + '[http]\naddress = "inet:[::]:9143"',
         "[http] allow: is missing: everybody who reaches inet:[::]:9143 could ask. Add the networks of the hosts that"
         ' ask, such as allow = ["192.0.2.0/24"], or listen on 127.0.0.1'),
        (MINIMAL + '[[listen]]\naddress = "inet:0.0.0.0:10143"\nallow = "0.0.0.0/0"',
         "[listen 1] allow: '0.0.0.0/0' is everybody: write the networks of the hosts that ask"),
        (MINIMAL + '[[listen]]\naddress = "inet:0.0.0.0:10143"\nallow = "192.0.2.1/24"',
         "[listen 1] allow: '192.0.2.1/24' has bits set behind its prefix: write '192.0.2.0/24'"),
        (MINIMAL + '[[listen]]\naddress = "inet:127.0.0.1:10143"\nallow = []',
         "[listen 1] allow: is empty: nobody could connect. Write the networks of the hosts that ask"),
        (MINIMAL + '[[listen]]\naddress = "inet:127.0.0.1:10143"\nallow_uid = "root"',
         "[listen 1] allow_uid: is only for unix: addresses; for inet: ones there is allow"),
        (MINIMAL + '[[listen]]\naddress = "unix:/run/a"\nallow = "127.0.0.1"',
         "[listen 1] allow: is only for inet: addresses; for unix: ones there are allow_uid and allow_gid"),
        (MINIMAL + '[[listen]]\naddress = "unix:/run/a"\nallow_gid = ["root", "no-such-group"]',
         "[listen 1] allow_gid: no such group: no-such-group"),
        (MINIMAL + '[[listen]]\naddress = "unix:/run/a"\nallow_uid = true',
         "[listen 1] allow_uid: must be names or numbers, not a boolean"),
        (MINIMAL + '[http]\naddress = "inet:127.0.0.1:9143"\nmode = "0660"',
         "[http] mode: is only for unix: addresses"),
    ],
)  # fmt: skip
def test_what_would_harm_is_refused_with_what_to_write_instead(read: Any, text: str, problem: str) -> None:
    assert problems(read, text) == [problem]


def test_a_problem_is_one_line_whatever_the_file_holds(read: Any) -> None:
    (problem,) = problems(read, MINIMAL + '"a\\nb\\u001b" = 1\n[http]\n')
    assert problem.startswith(r"[directory] a\nb\x1b: unknown key")


def test_who_may_connect_arrives(read: Any) -> None:
    config = read(
        MINIMAL
        + """
[[listen]]
address = "inet:0.0.0.0:10143"
allow = ["192.0.2.0/24", "2001:db8::1"]
[[listen]]
address = "unix:/run/lookups"
allow_uid = ["root", 4242]
allow_gid = 7
[http]
address = "unix:/run/pages"
mode = "0660"
owner = "root"
group = "root"
allow_gid = "root"
"""
    )
    first, second = config.listen
    assert [str(network) for network in first.access.networks] == ["192.0.2.0/24", "2001:db8::1/128"]
    assert (second.access.uids, second.access.gids) == ({0, 4242}, {7})
    assert (config.http.mode, config.http.owner, config.http.group) == (0o660, "root", "root")
    assert config.http.access.gids == {0}


def test_local_keys_need_mydestination(read: Any) -> None:
    text = MINIMAL + '[maps.own]\nkeys = "local"\nquery_filter = "(uid=%s)"\n'
    assert problems(read, text) == ["[maps.own] keys: 'local' needs [postfix] mydestination"]
    assert read(text + '[postfix]\nmydestination = ["d.example"]\n').maps.tables["own"].settings.local_domains == {
        "d.example"
    }
