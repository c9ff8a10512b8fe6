"""vmaild answers Postfix's virtual mailbox, alias and domain lookups from OpenLDAP, cached."""

__version__ = "0.1.0"
