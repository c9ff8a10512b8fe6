"""The whole road: real Postfix asks, vmaild answers from a real slapd."""
