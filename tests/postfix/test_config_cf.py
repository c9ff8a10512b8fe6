"""``[maps.NAME] cf = [...]``: queries and directories from table files, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmaild.config import Config, load
from vmaild.errors import ConfigError
from vmaild.lookup import Scope

USERS = """\
server_host = ldap://127.0.0.1:3890
search_base = ou=people,dc=example
query_filter = (mail=%s)
result_attribute = uid
scope = one
bind = no
timeout = 4
"""
GROUPS = USERS.replace("ou=people", "ou=groups").replace("uid", "mail").replace("timeout = 4", "timeout = 7")
ELSEWHERE = USERS.replace("3890", "3891")
MAP = '[maps.virtual_alias_maps]\ncf = ["users.cf", "groups.cf"]\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name, text in (("users", USERS), ("groups", GROUPS), ("elsewhere", ELSEWHERE)):
        (tmp_path / f"{name}.cf").write_text(text)
        (tmp_path / f"{name}.cf").chmod(0o640)
    return tmp_path


def read(home: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    (home / "vmaild.toml").write_text(text)
    return load(home / "vmaild.toml", environ or {})


def problems(home: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(home, text)
    return "\n".join(caught.value.problems)


def test_each_file_is_a_query_in_order(home: Path) -> None:
    config = read(home, MAP)
    users, groups = config.maps.tables["virtual_alias_maps"].queries
    assert users.search_base.text == "ou=people,dc=example"
    assert users.scope is Scope.ONE
    assert users.expansion.result_attribute == ("uid",)
    assert groups.search_base.text == "ou=groups,dc=example"
    assert config.warnings == ()


def test_files_take_the_place_of_a_presets_queries(home: Path) -> None:
    # Was: "query: and cf are mutually exclusive", though the file has no query.
    directory = 'preset = "courier"\n[directory]\nuri = ["ldap://127.0.0.1"]\nsearch_base = "o=hosting"\n'
    tables = read(home, directory + MAP).maps.tables
    assert [query.search_base.text for query in tables["virtual_alias_maps"].queries] == [
        "ou=people,dc=example",
        "ou=groups,dc=example",
    ]
    assert tables["virtual_alias_maps"].settings.propagate_extension
    assert tables["virtual_mailbox_maps"].queries[0].search_base.text.endswith("o=hosting")
    assert "mutually exclusive" in problems(home, directory + MAP + 'scope = "one"\n')


def test_files_with_the_same_server_share_a_directory(home: Path) -> None:
    config = read(home, MAP)
    one, other = config.maps.directories.by_map()["virtual_alias_maps"]
    assert one is other
    assert config.directory is one
    assert one.uri == ("ldap://127.0.0.1:3890",)
    assert one.search_base == "ou=people,dc=example"
    assert one.timeout == 7.0


def test_a_directory_of_ones_own_may_be_the_same(home: Path) -> None:
    config = read(
        home, f'[directory]\nuri = ["ldap://127.0.0.1:3890"]\nsearch_base = "dc=example"\npool_size = 9\n{MAP}'
    )
    assert config.directory.pool_size == 9


def test_directory_may_hold_the_bounds_of_the_files_and_nothing_else(home: Path) -> None:
    config = read(home, f"[directory]\npool_size = 9\nmax_values = 30000\n{MAP.replace('groups', 'elsewhere')}")
    assert [(one.pool_size, one.max_values, one.timeout) for one in config.directories] == [(9, 30000, 4.0)] * 2
    assert config.maps.tables["virtual_alias_maps"].queries[0].expansion.most_values == 15000
    assert problems(home, f"[directory]\npool_size = 0\n{MAP}").endswith("pool_size: must be 1 to 256, not 0")
    assert "[directory] uri: is missing" in problems(home, f'[directory]\nbind_dn = "cn=x"\n{MAP}')


def test_the_bounds_of_a_directory_of_ones_own_hold_for_files_too(home: Path) -> None:
    own = '[directory]\nuri = ["ldap://127.0.0.1:3892"]\nsearch_base = "dc=example"\nmax_answer = 200000\n'
    config = read(home, own + MAP)
    assert [one.max_answer for one in config.directories] == [200000, 200000]


def test_each_file_is_asked_where_it_says(home: Path) -> None:
    config = read(home, MAP.replace("groups", "elsewhere"))
    assert len(config.directories) == 2
    assert [query.directory for query in config.maps.tables["virtual_alias_maps"].queries] == [0, 1]


def test_a_directory_of_ones_own_comes_first(home: Path) -> None:
    config = read(home, f'[directory]\nuri = ["ldap://127.0.0.1:3892"]\nsearch_base = "dc=example"\n{MAP}')
    assert [settings.uri for settings in config.directories] == [("ldap://127.0.0.1:3892",), ("ldap://127.0.0.1:3890",)]
    assert {query.directory for query in config.maps.tables["virtual_alias_maps"].queries} == {1}


def test_the_names_of_main_cf_are_accepted(home: Path) -> None:
    lines = "".join(f"people_{line}\n" for line in USERS.splitlines())
    (home / "main.cf").write_text(lines)
    listed = f'[maps.x]\ncf = ["ldap:people", "proxy:ldap:{home}/groups.cf", "{home}/users.cf"]\n'
    config = read(home, listed, {"MAIL_CONFIG": str(home)})
    assert [q.search_base.text.partition(",")[0] for q in config.maps.tables["x"].queries] == [
        "ou=people", "ou=groups", "ou=people",
    ]  # fmt: skip


def test_a_file_can_be_asked_whether_there_is_anything(home: Path) -> None:
    (query,) = (
        read(home, '[maps.domains]\nkeys = "domain"\nexists = true\ncf = "users.cf"\n').maps.tables["domains"].queries
    )
    assert query.expansion.exists
    assert query.expansion.attributes == ()


def test_problems_name_the_file_and_the_parameter(home: Path) -> None:
    (home / "users.cf").write_text(USERS + "chase_referrals = yes\nquery_filter = (mail=%s\n")
    said = problems(home, MAP.replace("groups", "absent"))
    assert "[maps.virtual_alias_maps] cf: users.cf: chase_referrals: referrals are not followed" in said
    assert "absent.cf': No such file" in said
    assert "[maps.virtual_alias_maps.cf " in said
    assert "query_filter: '(mail=%s'" in said


def test_a_file_name_with_a_nul_is_a_problem_like_any_other(home: Path) -> None:
    assert "[maps.x] cf: 'a\\x00b': embedded null byte" in problems(home, '[maps.x]\ncf = ["a\\u0000b"]\n')


def test_warnings_name_the_file_and_the_parameter(home: Path) -> None:
    (home / "users.cf").write_text(USERS.replace("bind = no", "bind_dn = cn=x\nbind_pw = y") + "sarch_base = x\n")
    (home / "users.cf").chmod(0o644)
    warnings = "\n".join(read(home, '[maps.x]\ncf = "users.cf"\n').warnings)
    assert "users.cf: sarch_base: is no parameter of ldap_table(5)" in warnings
    assert "holds bind_pw and can be read by every user" in warnings


def test_a_query_cannot_stand_beside_files(home: Path) -> None:
    said = problems(home, MAP + 'query_filter = "(mail=%s)"\n')
    assert "[maps.virtual_alias_maps] query_filter: and cf are mutually exclusive" in said
    assert "cf: must name one or more" in problems(home, "[maps.x]\ncf = []\n")


def test_an_unusable_server_is_named(home: Path) -> None:
    (home / "users.cf").write_text(USERS.replace("ldap://127.0.0.1:3890", "ldap://h:port"))
    assert "users.cf: server_host: " in problems(home, '[maps.x]\ncf = "users.cf"\n')
