"""The server settings of an ldap_table(5) source, under the names of vmaild's ``[directory]``.

vmaild speaks LDAPv3 and binds once for each pooled connection. Postfix lets a password cross the network unencrypted,
and does not check a certificate unless it is configured; a table that relies on either is read so, with a warning.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from vmaild.postfix.parameters import SASL, Source
from vmaild.postfix.tables import words

DEFAULT_TIMEOUT = 10
"""Seconds that one search may take, ldap_table(5)."""
DEFAULT_PORT = 389

_BINDS = {"yes": "simple", "simple": "simple", "no": "none", "none": "none", "sasl": "sasl"}
_URL = re.compile(r"(?:<?(?:URL:)?)(ldaps?|ldapi)://", re.IGNORECASE)
_DN = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9-]*|[0-9.]+)\s*=")
_TEXTS = ("tls_ca_cert_file", "tls_ca_cert_dir", "tls_cert", "tls_key")


def read_directory(source: Source) -> dict[str, Any]:
    """The keys of ``[directory]``, without ``search_base``; only those that differ from vmaild's own defaults."""
    directory: dict[str, Any] = {"uri": _uris(source)}
    directory |= _timeout(source) | _bind(source, directory["uri"]) | _tls(source, directory["uri"])
    _version(source)
    _refuse(source)
    _note_without_effect(source)
    return directory


def _uris(source: Source) -> list[str]:
    port = source.integer("server_port", DEFAULT_PORT)
    hosts = words(source.text("server_host", "localhost"))
    if not hosts:
        source.problem("server_host", "is empty; Postfix stops there")
    return list(dict.fromkeys(_uri(host, port) for host in hosts))


def _uri(host: str, port: int) -> str:
    """A URL of the word: as it is, or for a host with and without a port, as dict_ldap.c does."""
    if match := _URL.match(host):
        return f"{match[1].lower()}://{host[match.end() :].rstrip('>')}"
    return f"ldap://{host}" if ":" in host else f"ldap://{host}:{port}"


def _timeout(source: Source) -> dict[str, Any]:
    seconds = source.integer("timeout", DEFAULT_TIMEOUT)
    if seconds == 0:
        source.problem("timeout", "0 lets every search fail")
    return {"timeout": float(seconds or DEFAULT_TIMEOUT)}


def _bind(source: Source, uris: list[str]) -> dict[str, Any]:
    written = source.text("bind", "yes")
    method = _BINDS.get(written.lower())
    name, password = source.text("bind_dn"), source.values.get("bind_pw", "")
    if method is None:
        source.problem("bind", f"{written!r} is not one of {', '.join(_BINDS)}; Postfix stops there")
    elif method == "sasl":
        return _sasl(source, name, password)
    for key in SASL:
        if key in source.values:
            source.warn(key, "has no effect without bind = sasl")
    if method != "simple":
        return {"bind": "none"}
    return _simple(source, name, password, uris)


def _simple(source: Source, name: str, password: str, uris: list[str]) -> dict[str, Any]:
    if not name:
        if password:
            source.problem("bind_pw", "is set without bind_dn: a server refuses that, or takes it for anonymous")
        return {"bind": "none"}
    if not password:
        # RFC 4513, 5.1.2.
        source.problem("bind_pw", "is empty beside bind_dn: the server takes the bind for an anonymous one")
    if not _DN.match(name):
        source.warn("bind_dn", f"{name!r} is no DN: only Active Directory accepts such a name")
    found: dict[str, Any] = {"bind": "simple", "bind_dn": name, "bind_pw": password}
    exposed = [uri for uri in uris if uri.startswith("ldap://") and not _is_local(uri)]
    if exposed and source.values.get("start_tls", "no").lower() != "yes":
        source.warn("bind_pw", f"crosses the network in clear text to {exposed[0]}: set start_tls = yes")
        found["allow_cleartext_bind"] = True
    return found


def _sasl(source: Source, name: str, password: str) -> dict[str, Any]:
    mechanisms = source.text("sasl_mechs").split()
    if [mechanism.upper() for mechanism in mechanisms] != ["EXTERNAL"]:
        source.problem("sasl_mechs", f"{' '.join(mechanisms) or 'any'}: of SASL only EXTERNAL is supported")
    for key in ("sasl_authz_id", "sasl_realm"):
        if source.text(key):
            source.problem(key, "is not supported")
    if source.integer("sasl_minssf", 0):
        source.problem("sasl_minssf", "is not supported: use ldapi:// or TLS")
    for key, value in (("bind_dn", name), ("bind_pw", password)):
        if value:
            source.warn(key, "has no effect with sasl_mechs = EXTERNAL")
    return {"bind": "sasl_external"}


def _tls(source: Source, uris: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {key: text for key in _TEXTS if (text := source.text(key))}
    start_tls = source.flag("start_tls")
    ldaps = any(uri.startswith("ldaps://") for uri in uris)
    checked = source.flag("tls_require_cert")
    if start_tls and ldaps:
        source.problem("start_tls", "cannot be had over ldaps://, which is encrypted already")
    if not start_tls and not ldaps:
        for key in (*found, *(["tls_require_cert"] if checked else [])):
            source.warn(key, "has no effect: there is neither start_tls nor an ldaps:// server")
        return {}
    if start_tls:
        found["start_tls"] = True
    if not checked:
        source.warn("tls_require_cert", "is no, as by default: an attacker in between can pose as the server")
    return found | {"tls_require_cert": checked}


def _version(source: Source) -> None:
    version = source.integer("version", 3)
    if version != 3:
        source.warn("version", f"{version}: vmaild speaks LDAPv3 only, as slapd does by default")


def _refuse(source: Source) -> None:
    dereference = source.integer("dereference", 0, least=-(2**31))
    if dereference in (1, 2, 3):
        source.problem("dereference", "LDAP aliases are never dereferenced: search where the entries stand")
    elif dereference:
        source.warn("dereference", f"{dereference} is not 0 to 3; Postfix and vmaild take 0")
    if source.flag("chase_referrals"):
        source.problem("chase_referrals", "referrals are not followed: name the server that has the entries")
    if source.text("tls_cipher_suite"):
        source.problem("tls_cipher_suite", "is not supported; set TLS_CIPHER_SUITE in ldap.conf(5)")


def _note_without_effect(source: Source) -> None:
    if source.flag("cache"):
        source.warn("cache", "has no effect in Postfix; vmaild caches by [cache]")
    for key in ("cache_expiry", "cache_size"):
        if source.integer(key, -1, least=-(2**31)) >= 0:
            source.warn(key, "has no effect in Postfix; vmaild caches by [cache]")
    if source.integer("debuglevel", 0):
        source.warn("debuglevel", "has no effect in vmaild; see log_level")
    if source.text("tls_random_file"):
        source.warn("tls_random_file", "has no effect in vmaild")


def _is_local(uri: str) -> bool:
    host = urlsplit(uri).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
