"""Several machines of the HOWTO, each in a network namespace: a provider, two mail hosts, and the internet.

::

                        the internet
                    net  |        |
        mail host 1 ------        ------ mail host 2
        Postfix, vmaild, slapd           Postfix, vmaild, slapd
        (a consumer)     |        |      (a consumer)
                     lan |        |
                         provider
                         slapd

vmaild asks the slapd of its own host first, then that of the other host, then the provider. While mail comes in from
the internet, one thing after the other breaks; ``python -m tests.machines`` prints what became of the mail, and
``make machines`` asserts it too. Needs root, slapd, Postfix and iproute2; the machine's own network is not touched.
"""
