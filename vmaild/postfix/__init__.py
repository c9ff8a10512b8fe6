"""Postfix's own files as values: main.cf, master.cf, and the files of ldap_table(5).

Text goes in, values come out; ``vmaild.postfix.files`` is the only module that opens a file or runs ``postconf``.

==========  ====================================================================
lines       logical lines and ``name = value``, as readlline(3) and split_nameval(3)
macros      ``$name``, ``${name?x:y}``, as mac_expand(3)
main_cf     parameters with their defaults, expanded
master_cf   services, with their ``-o name=value`` and chroot column
tables      ``type:name`` lists, as maps_create(3) splits them
domains     the ``domain`` list of a table, as match_list(3)
ldap_cf     an ldap_table(5) source: the query, the directory, what cannot be kept
parameters  what ldap_table(5) knows, and how each parameter is read
files       the thin reader
==========  ====================================================================

Facts were read in Postfix 3.7.11 and checked against its ``postconf`` and ``postmap -v``.
"""
