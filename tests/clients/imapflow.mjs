// One session of imapflow: node imapflow.mjs HOST PORT SECURE REV1 USER PASSWORD; JSON of what it saw on stdout.
// REV1 "yes": it does not enable IMAP4rev2, which it does by itself where a server has it.
import { createRequire } from 'node:module';
import { createHash } from 'node:crypto';

const require = createRequire(process.env.IMAPFLOW_FROM + '/');
const { ImapFlow } = require('imapflow');
const [host, port, secure, rev1, user, pass] = process.argv.slice(2);

const digest = (source) => {
    const text = source.toString('latin1').replace(/\r\n/g, '\n').replace(/\n+$/, '');
    return createHash('sha256').update(Buffer.from(text, 'latin1')).digest('hex');
};

const client = new ImapFlow({
    host, port: Number(port), secure: secure === 'yes', auth: { user, pass }, logger: false,
    tls: { rejectUnauthorized: false }, disableIMAP4rev2: rev1 === 'yes',
});
const seen = { emails: [], threads: [], exists: 0, digests: [], folders: [], structures: 0, subjects: 0, moved: 0, woken: false };
await client.connect();
seen.rev2 = client.enabled.has('IMAP4REV2');
seen.folders = (await client.list()).map((box) => box.path).sort();
let lock = await client.getMailboxLock('INBOX');
try {
    seen.exists = client.mailbox.exists;
    seen.mailboxId = client.mailbox.mailboxId;
    for await (const message of client.fetch('1:*', { uid: true, flags: true, envelope: true, bodyStructure: true, source: true, threadId: true })) {
        seen.digests.push(digest(message.source));
        seen.emails.push(message.emailId);
        seen.threads.push(message.threadId);
        seen.structures += message.bodyStructure ? 1 : 0;
        seen.subjects += message.envelope && message.envelope.subject ? 1 : 0;
    }
    await client.messageFlagsAdd('1:2', ['\\Flagged']);
    seen.flagged = await client.search({ flagged: true });
    const appended = await client.append('INBOX', Buffer.from('Subject: from imapflow\r\n\r\nhello\r\n'), ['\\Seen']);
    seen.appended = appended.uid;
    await client.mailboxCreate('Archive');
    const moved = await client.messageMove('1:3', 'Archive');
    seen.byId = await client.search({ emailId: seen.emails[4] });
    seen.moved = moved.uidMap ? moved.uidMap.size : 0;
    await client.messageDelete({ seq: '1' });
    await client.noop();
    seen.left = client.mailbox.exists;
} finally {
    lock.release();
}
await client.mailboxCreate('Entw\u00fcrfe & Gel\u00f6schtes');
await client.mailboxRename('Entw\u00fcrfe & Gel\u00f6schtes', '\u6587\u5b57');
seen.international = (await client.list()).map((box) => box.path).filter((path) => /[^ -~]/.test(path));
seen.status = await client.status('\u6587\u5b57', { messages: true, uidNext: true });
seen.archive = (await client.status('Archive', { messages: true })).messages;
await client.logout();
console.log(JSON.stringify(seen));
