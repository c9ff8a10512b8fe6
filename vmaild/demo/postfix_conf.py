"""main.cf and master.cf of a private Postfix; ``vmaild/demo/postfix.py`` fills in the braces."""

from __future__ import annotations

MAIL_OWNER_ID = 5000
"""The user and group that own the Maildirs; the number needs no name in /etc/passwd."""

SETTINGS = {
    "compatibility_level": "3.7",
    "queue_directory": "{home}/queue",
    "data_directory": "{home}/data",
    "maillog_file": "{home}/maillog",
    "maillog_file_prefixes": "{home}",
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
    "myhostname": "mail.myhosting.example",
    "mydomain": "myhosting.example",
    "mydestination": "",
    "mynetworks": "",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "disable_dns_lookups": "yes",
    "smtp_host_lookup": "native",
    "alias_maps": "",
    "alias_database": "",
    "local_recipient_maps": "",
    "append_dot_mydomain": "no",
    "biff": "no",
    "recipient_delimiter": "+",
    "smtpd_peername_lookup": "no",
    "smtpd_relay_restrictions": "reject_unauth_destination",
    "smtpd_error_sleep_time": "0",
    "smtpd_hard_error_limit": "100000",
    "smtpd_soft_error_limit": "100000",
    "anvil_status_update_time": "600s",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_client_connection_rate_limit": "0",
    "in_flow_delay": "0",
    "queue_run_delay": "1s",
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "2s",
    "default_transport": "foreign",
    "virtual_alias_domains": "",
    "virtual_mailbox_base": "{home}/mail",
    "virtual_uid_maps": f"static:{MAIL_OWNER_ID}",
    "virtual_gid_maps": f"static:{MAIL_OWNER_ID}",
}

SERVICES = """\
127.0.0.1:{port} inet n - n - 200 smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
virtual unix - n n - - virtual
    -o virtual_mailbox_maps={mailbox_table}
foreign unix - n n - - virtual
    -o virtual_mailbox_maps=static:foreign/
"""

QUEUE_OWNED = (
    "active",
    "bounce",
    "corrupt",
    "defer",
    "deferred",
    "flush",
    "hold",
    "incoming",
    "private",
    "saved",
    "trace",
)
