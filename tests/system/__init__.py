"""The HOWTO's whole system, as plain processes on loopback: slapd, Postfix, vmaild, Courier-IMAP, procmail, webmail."""
