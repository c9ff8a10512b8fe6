"""From Postfix's own ``ldap:`` tables to vmaild: the commands ``import-postfix`` and ``compare``.

===============  =====================================================================
uses             what each parameter of main.cf asks of its tables
local_domains    whose users are searched for without their domain too
plan             which tables become which maps, the changed parameters, and the traps
edit             main.cf with those parameters changed, as a diff
document         the vmaild.toml
import_command   ``vmaild import-postfix``
keys             the keys of a file, or the recipients of a mail log
postmap          what Postfix's own table answers
causes           why two answers differ
compare_command  ``vmaild compare``
===============  =====================================================================
"""
