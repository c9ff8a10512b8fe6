"""The HOWTO's whole system: slapd, Postfix, vmaild, Courier-IMAP, procmail and webmail, as plain processes on loopback."""
