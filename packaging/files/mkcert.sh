#!/bin/sh
# Make a self-signed certificate. Edit dovecot-openssl.cnf first; see docs/install.md.
#   OPENSSL        the program                    openssl
#   SSLDIR         holds certs/ and private/      /etc/pki/dovecot
#   OPENSSLCONFIG  what the certificate says      /etc/pki/dovecot/dovecot-openssl.cnf
# Exit status: 1 nothing was done, because a directory is missing or a file is there; 2 openssl failed.

umask 077
OPENSSL=${OPENSSL-openssl}
SSLDIR=${SSLDIR-/etc/pki/dovecot}
OPENSSLCONFIG=${OPENSSLCONFIG-/etc/pki/dovecot/dovecot-openssl.cnf}

cert=$SSLDIR/certs/dovecot.pem
key=$SSLDIR/private/dovecot.pem

for dir in "$SSLDIR/certs" "$SSLDIR/private"; do
    if [ ! -d "$dir" ]; then
        echo "$dir directory doesn't exist"
        exit 1
    fi
done
for file in "$cert" "$key"; do
    if [ -f "$file" ]; then
        echo "$file already exists, won't overwrite"
        exit 1
    fi
done

# Half a pair would keep the next run from making a whole one.
fail() {
    rm -f "$cert" "$key"
    exit 2
}

"$OPENSSL" req -new -x509 -nodes -config "$OPENSSLCONFIG" -out "$cert" -keyout "$key" -days 365 || fail
chown root:root "$cert" "$key" 2>/dev/null
chmod 0600 "$cert" "$key"
echo
"$OPENSSL" x509 -subject -fingerprint -noout -in "$cert" || exit 2
