#!/bin/sh
# Steps that make a mail host of the container, beside what the papers tell: run_commands.py runs them there.
# packages needs the network and no systemd; the others want both systemd and no network.
set -eu
base=dc=myhosting,dc=example
case $1 in
packages)
    # What a reader answers when apt-get asks.
    echo 'APT::Get::Assume-Yes "true";' > /etc/apt/apt.conf.d/90assume-yes
    apt-get -q update
    apt-get -q install --no-install-recommends man-db
    # Installed later, without a network, from apt's own cache.
    shift
    apt-get -q install --download-only postfix postfix-ldap "$@"
    ;;
slapd)
    printf '127.0.0.1 localhost mail.myhosting.example ldap1.example ldap2.example host2.example provider.example\n' > /etc/hosts
    cat > /root/slapd.debconf <<END
slapd slapd/no_configuration boolean false
slapd slapd/domain string myhosting.example
slapd shared/organization string myhosting
slapd slapd/password1 password secret
slapd slapd/password2 password secret
slapd slapd/purge_database boolean true
slapd slapd/move_old_database boolean true
END
    debconf-set-selections /root/slapd.debconf
    dpkg-reconfigure -f noninteractive slapd
    curve='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 2'
    cd /etc/ldap
    openssl req -x509 $curve -keyout ca.key -out /usr/local/share/ca-certificates/papers.crt -subj /CN=CA
    openssl req -x509 $curve -keyout slapd.key -out slapd.pem -subj /CN=ldap1.example \
        -CA /usr/local/share/ca-certificates/papers.crt -CAkey ca.key -addext basicConstraints=critical,CA:FALSE \
        -addext subjectAltName=DNS:ldap1.example,DNS:ldap2.example,DNS:host2.example,DNS:provider.example
    chown openldap slapd.key
    update-ca-certificates
    sed -i 's#^SLAPD_SERVICES=.*#SLAPD_SERVICES="ldap:/// ldaps:/// ldapi:///"#' /etc/default/slapd
    systemctl restart slapd
    ldapmodify -Q -Y EXTERNAL -H ldapi:/// <<END
dn: cn=config
changetype: modify
add: olcTLSCertificateFile
olcTLSCertificateFile: /etc/ldap/slapd.pem
-
add: olcTLSCertificateKeyFile
olcTLSCertificateKeyFile: /etc/ldap/slapd.key
END
    systemctl restart slapd
    ;;
tree)
    cd "$2/postfix-snippets/slapd"
    ldapmodify -Q -Y EXTERNAL -H ldapi:/// -f overlays.ldif
    ldapmodify -Q -Y EXTERNAL -H ldapi:/// -f unique.ldif
    admin="-x -D cn=admin,$base -w secret"
    # The suffix and vmaild's account are there by now; the canary of README's configuration is not in the demo's tree.
    ldapadd $admin -c -f "$2/vmaild/demo/hosting.ldif" > /dev/null 2>&1 || true
    ldapadd $admin > /dev/null <<END
dn: o=myhosting.example,o=hosting,$base
objectClass: organization
o: myhosting.example

dn: cn=postmaster,o=myhosting.example,o=hosting,$base
objectClass: organizationalRole
cn: postmaster
roleOccupant: mail=you@myhosting.example,o=myhosting.example,o=hosting,$base

dn: mail=you@myhosting.example,o=myhosting.example,o=hosting,$base
objectClass: courierMailAccount
mail: you@myhosting.example
homeDirectory: /home/vmail/domains
uidNumber: 101
gidNumber: 101
mailbox: myhosting.example/you/

dn: mail=abuse@myhosting.example,o=myhosting.example,o=hosting,$base
objectClass: courierMailAlias
mail: abuse@myhosting.example
maildrop: you@myhosting.example
END
    ldappasswd $admin -s vmaild-secret "cn=vmaild,$base"
    mkdir -p /etc/vmaild
    for file in /etc/vmaild/bind_pw /etc/vmaild/second.bind_pw /root/pw; do
        (umask 077 && echo vmaild-secret > "$file")
    done
    echo demo > /root/tenant_pw
    # What an administrator types behind `systemctl edit`.
    printf '#!/bin/sh\necho "[Service]\nBindReadOnlyPaths=/srv" > "$1"\n' > /root/editor
    chmod +x /root/editor
    printf 'user2@domain2.example\nnobody@domain2.example\n' > /root/keys
    ;;
postfix)
    echo mail.myhosting.example > /etc/mailname
    apt-get -q install --no-install-recommends postfix postfix-ldap
    # Some tables of the kind that vmaild takes the place of, and a log with recipients.
    cd "$2/postfix-snippets"
    for name in mailbox aliases groups; do
        sed 's/CHANGE-ME/vmaild-secret/' ldap-mailbox.cf > "/etc/postfix/ldap-$name.cf"
    done
    for name in aliases groups; do
        sed -i 's/^query_filter.*/query_filter = (\&(mail=%s)(objectClass=courierMailAlias))/; s/^result_attribute.*/result_attribute = maildrop/' \
            "/etc/postfix/ldap-$name.cf"
    done
    postconf -e 'virtual_mailbox_domains = domain1.example domain2.example' 'virtual_alias_domains =' \
        'virtual_mailbox_maps = ldap:/etc/postfix/ldap-mailbox.cf' 'virtual_alias_maps = ldap:/etc/postfix/ldap-aliases.cf' \
        'recipient_delimiter = +'
    cp /etc/postfix/main.cf /root/main.cf.ldap
    # Without a delivery that may ask socketmaps, README's `vmaild check --postfix` would name it.
    postconf -e "$(sed -n 's/^virtual_transport/&/p' main.cf.lmtp)"
    echo "Nov 26 06:00:00 mail postfix/smtp[9]: 4bXyz: to=<info@domain1.example>, relay=none, delay=1, status=sent" > /var/log/mail.log
    ;;
unix)
    # What main.cf.unix and vmaild.socket say of a socket in Postfix's chroot.
    cp /etc/vmaild/vmaild.toml /root/vmaild.toml
    sed -n '/^#   \[\[listen/,/^#$/s/^# *//p' "$2/postfix-snippets/main.cf.unix" >> /etc/vmaild/vmaild.toml
    mkdir -p /etc/systemd/system/vmaild.socket.d
    (echo '[Socket]' && echo ListenStream= &&
        sed -n 's/^#\(ListenStream=.*lookups\|Socket[UM].*\)/\1/p' "$2/systemd/vmaild.socket") > /etc/systemd/system/vmaild.socket.d/unix.conf
    systemctl daemon-reload
    systemctl stop vmaild.service
    systemctl restart vmaild.socket vmaild.service
    ;;
second)
    # As the comment of vmaild@.service says.
    (sed '/^\[http/,/^$/d' /etc/vmaild/vmaild.toml && sed -n '/^#   \[\[listen/,/^# The/s/^#   //p' "$2/systemd/vmaild@.service" |
        sed s/NAME/second/) > /etc/vmaild/second.toml
    ;;
inet)
    cp /root/vmaild.toml /etc/vmaild/vmaild.toml
    rm -r /etc/systemd/system/vmaild.socket.d
    systemctl daemon-reload
    systemctl stop vmaild.service
    systemctl restart vmaild.socket vmaild.service
    ;;
esac
