"""The commands of an administrator, one module each. ``vmaild.cli`` has the parser and the exit statuses.

==========  ==================================================================================
session     the configuration, the running daemon's socket, and how a command fails
output      tables and colours for a terminal
status      the state of the running daemon on a page
top         the same, live
flush       make the daemon forget answers
log_level   make the daemon log more, or less
cached      what the daemon's cache holds
query       one answer, through the daemon or past it
explain     every map's answer for an address and how it came about, and where mail to it ends
mail_route  the last of these: aliases followed as cleanup(8) does
check       the configuration, the servers it names, and Postfix's side
audit       whether the directory keeps the rules of the HOWTO and of vmaild
snippets    configuration for the programs around vmaild, filled in
benchmark   measures a vmaild, or what else Postfix can ask
==========  ==================================================================================

A command has ``run(options)``, which prints and returns the exit status. Values of the directory are printed escaped,
for who writes them must not write to the administrator's terminal.
"""
