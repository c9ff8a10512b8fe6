"""Postfix as oracle for ldap_table(5): the same table file is asked through ``postmap -q`` and through vmaild.

==============  ============================================================================
trees           a seeded generator of directories, with what is odd in real ones
table_files     a seeded generator of ldap_table(5) files over all settings, and of keys
postfix_side    what ``postmap -q`` answers
vmaild_side     what vmaild answers when it reads the same file: the adapter to re-point
model           dict_ldap.c told in Python, with a switch for each difference that is meant
differences     why two answers differ: meant, known to be wrong still, or unexplained
==============  ============================================================================

``pytest tests/oracle`` makes 3,000 comparisons; ``VMAILD_COMPARISONS=100000`` as many as wanted, and
``VMAILD_SEED`` other ones.
"""
