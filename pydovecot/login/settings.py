"""Settings of login processes and of a mail worker's way from a login to a user."""

from pydovecot.settings.declare import (
    Settings,
    boolean,
    enum,
    path,
    string,
    strlist,
    strvar,
    uint,
)

__all__ = ["ImapLoginSettings", "LoginSettings", "MailUserSettings", "Pop3LoginSettings", "SslSettings"]


class LoginSettings(Settings):
    """What every login service reads."""

    login_trusted_networks = strlist("", doc="Networks of proxies: their XCLIENT and ID fields are believed.")
    login_greeting = string("Dovecot ready.", doc="What a client is greeted with.")
    login_log_format_elements = strvar(
        "user=<%u> method=%m rip=%r lip=%l mpid=%e %c session=<%{session}>",
        doc="Parts of the login log line; parts without a value are left out.",
    )
    login_log_format = strvar("%$: %s", doc="The login log line: %s elements, %$ what happened.")
    disable_plaintext_auth = boolean(
        "yes", doc="No LOGIN, USER/PASS or plaintext mechanisms without TLS, except from this host."
    )
    auth_ssl_require_client_cert = boolean("no", doc="Refuse authentication without a valid certificate.")
    auth_ssl_username_from_cert = boolean("no", doc="Take the user name from the client's certificate.")
    auth_verbose = boolean("no", doc="Log unsuccessful authentications with their reason.")
    mail_max_userip_connections = uint(10, doc="Connections of one user from one address; 0 is no limit.")


class ImapLoginSettings(Settings):
    """What imap-login reads besides; the imap service reads it as well."""

    imap_capability = string("", doc="Capabilities to announce; +WORDS adds to the usual ones.")
    imap_literal_minus = boolean(
        "no", doc="Offer LITERAL- (literals up to 4096 octets) in place of LITERAL+.", since="2.3"
    )
    imap_id_send = string("name *", doc="Fields of the answer to ID; * is the usual value.")
    imap_id_log = string("", doc="Fields of a client's ID to log; * all.")
    imap_id_retain = boolean("no", doc="Tell the client's ID to auth and mail processes.", since="2.3")


class Pop3LoginSettings(Settings):
    """What pop3-login reads besides."""

    pop3_rpop = boolean("no", doc="The command RPOP; auth reads it as well.")
    pop3_rpop_reserved_port = boolean(
        "no", doc="RPOP from client ports below 1024 only, which on most hosts root alone can use."
    )


class SslSettings(Settings):
    """How TLS is spoken to clients."""

    ssl = enum("yes", "no:yes:required", doc="TLS: off, offered, or demanded before any authentication.")
    ssl_cert = string("", doc="PEM certificate chain: </path/to/file reads the file.")
    ssl_key = string("", doc="PEM private key: </path/to/file reads the file.")
    ssl_alt_cert = string("", doc="A second certificate, of another key type.", since="2.2.31")
    ssl_alt_key = string("", doc="Key of ssl_alt_cert.", since="2.2.31")
    ssl_key_password = string("", doc="Password of an encrypted ssl_key.")
    ssl_ca = string("", doc="PEM certificates of authorities that sign client certificates.")
    ssl_dh = string("", doc="Diffie-Hellman parameters for the ciphers that need them.", since="2.3")
    ssl_cipher_list = string(
        "ALL:!kRSA:!SRP:!kDHd:!DSS:!aNULL:!eNULL:!EXPORT:!DES:!3DES:!MD5:!PSK:!RC4:!ADH:!LOW@STRENGTH",
        doc="Ciphers up to TLSv1.2, as OpenSSL names them.",
    )
    ssl_cipher_suites = string("", doc="Cipher suites of TLSv1.3.", since="2.3.13")
    ssl_curve_list = string("", doc="Elliptic curves; empty takes OpenSSL's.", since="2.3")
    ssl_min_protocol = string("TLSv1.2", doc="Oldest protocol that is accepted.", since="2.3")
    ssl_prefer_server_ciphers = boolean("no", doc="The server's order of ciphers decides.")
    ssl_options = strlist("", doc="no_compression, no_ticket.")
    ssl_verify_client_cert = boolean("no", doc="Ask the client for a certificate.")
    ssl_require_crl = boolean("yes", doc="Revocation lists must be there for client certificates.")
    ssl_cert_username_field = string("commonName", doc="Field of the certificate that names the user.")
    verbose_ssl = boolean("no", doc="Log all steps of TLS handshakes.")


class MailUserSettings(Settings):
    """Who a mail worker becomes."""

    mail_uid = string("", doc="System user of mail users whose userdb gives none.")
    mail_gid = string("", doc="System group of mail users whose userdb gives none.")
    mail_home = strvar("", doc="Home directory of mail users whose userdb gives none.")
    mail_chroot = strvar("", doc="Directory that mail processes are confined to.")
    valid_chroot_dirs = string("", doc="Directories, separated by colons, that a userdb may chroot into.")
    mail_access_groups = string("", doc="Groups that mail processes have besides the user's own.")
    first_valid_uid = uint(500, doc="Lowest uid that may have mail.")
    last_valid_uid = uint(0, doc="Highest uid that may have mail; 0 is no limit.")
    first_valid_gid = uint(1, doc="Lowest gid that may have mail.")
    last_valid_gid = uint(0, doc="Highest gid that may have mail; 0 is no limit.")
    mail_log_prefix = strvar(
        "%s(%u)<%{pid}><%{session}>: ", doc="What a mail process's log lines begin with."
    )
    rawlog_dir = strvar("", doc="If it exists, what each client and the server say goes into files there.")
    auth_socket_path = path("auth-userdb", doc="Where a process started by hand asks for a user.")
    base_dir = path("/run/dovecot", doc="Where the sockets are.")
