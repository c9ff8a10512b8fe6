"""What a domain's postmaster may try with the directory to get another domain's mail, as change records.

The attacker is an occupant of domain2's postmaster role; domain1 is whose mail is wanted.
"""

from __future__ import annotations

from tests.support.directory import BAD_MAILBOXES, account, alias
from tests.support.ldap_client import added, dn, renamed, replaced
from vmaild.demo.tree import MAIL_HOME, SEARCH_BASE

POSTMASTERS = (dn("user1@domain2.example"), dn("user3@domain2.example"))
OWN = dn("user2@domain2.example")
VICTIM = "user1@domain1.example"
VICTIM_MAILBOX = "domain1.example/user1/"
ROLE = f"cn=postmaster,o=domain1.example,{SEARCH_BASE}"
UNDER = f"o=domain2.example,{SEARCH_BASE}"
PASSWORD = ("userPassword: demo",)


def new(name: str, mail_home: str = MAIL_HOME, *, mailbox: str | None = None, mail: tuple[str, ...] = ()) -> str:
    """LDIF of an account of domain2 with the usual password."""
    return account(f"{name}@domain2.example", mailbox=mailbox, mail=mail, mail_home=mail_home, more=PASSWORD)


def forbidden(mail_home: str = MAIL_HOME) -> dict[str, str]:
    """Change records that would take mail of domain1, or prepare it."""
    entry = "objectClass: extensibleObject\nou: x\n"
    return {
        **{f"mailbox {name}": added(new("t", mail_home, mailbox=box)) for name, box in BAD_MAILBOXES.items() if box},
        "base directory": added(new("t", f"{mail_home}/domain1.example/user1")),
        "Unix account": added(new("t", mail_home).replace("uidNumber: 101", "uidNumber: 0")),
        "victim's address": added(new("t", mail_home, mail=("t@domain2.example", VICTIM))),
        "victim's catch-all": added(alias("@domain1.example", "user1@domain2.example", domain="domain2.example")),
        "change of mailbox": replaced(OWN, "mailbox", VICTIM_MAILBOX),
        "change of base directory": replaced(OWN, "homeDirectory", f"{mail_home}/domain1.example"),
        "change of address": replaced(OWN, "mail", VICTIM),
        "one more address": f"dn: {OWN}\nchangetype: modify\nadd: mail\nmail: {VICTIM}\n",
        "referral": f"dn: ou=x,{UNDER}\nchangetype: add\nobjectClass: referral\n{entry}ref: ldap://127.0.0.1:1/\n",
        "alias entry": f"dn: ou=x,{UNDER}\nchangetype: add\nobjectClass: alias\n{entry}aliasedObjectName: {ROLE}\n",
        "entry of the other domain": added(alias("x@domain1.example", "user1@domain2.example")),
        "move to the other domain": renamed(
            OWN, "mail=user2@domain2.example", under=f"o=domain1.example,{SEARCH_BASE}"
        ),
        "victim's password": replaced(dn(VICTIM), "userPassword", "mine"),
        "victim's mailbox": replaced(dn(VICTIM), "mailbox", "domain2.example/user2/"),
        "victim's alias": replaced(dn("sales@domain1.example"), "maildrop", "user1@domain2.example"),
        "victim's role": f"dn: {ROLE}\nchangetype: modify\nadd: roleOccupant\nroleOccupant: {POSTMASTERS[0]}\n",
        "own role": replaced(f"cn=postmaster,{UNDER}", "roleOccupant", POSTMASTERS[0]),
        "group of names": f"dn: cn=x,{UNDER}\nchangetype: add\nobjectClass: groupOfNames\n"
        f"cn: x\nmember: {dn(VICTIM)}\n",
        "domain inside": f"dn: o=domain1.example,{UNDER}\nchangetype: add\nobjectClass: organization\n"
        "o: domain1.example\n",
        "role inside": f"dn: cn=postmaster,{POSTMASTERS[1]}\nchangetype: add\n"
        f"objectClass: organizationalRole\ncn: postmaster\nroleOccupant: {OWN}\n",
        "another group": f"dn: cn=postmaster,{OWN}\nchangetype: add\nobjectClass: organizationalRole\ncn: postmaster\n",
    }


def renames() -> dict[str, list[str]]:
    """Changes by rename, which slapd's rules for values do not cover; each a row of records."""
    without = f"dn: {OWN}\nchangetype: modify\ndelete: mailbox\n"
    return {
        "to the victim's address": [renamed(OWN, f"mail={VICTIM}")],
        "into the victim's mailbox": [without, renamed(OWN, f"mail=user2@domain2.example+mailbox={VICTIM_MAILBOX}")],
        "to another base directory": [renamed(OWN, "mail=user2@domain2.example+homeDirectory=/etc")],
    }
