import type { Socket } from 'node:net';

/** The first byte of a TLS record that carries a handshake: RFC 8446 §5.1. */
const handshakeRecord = 22;
const recordHeaderBytes = 5;
/** A ClientHello longer than one record is none that a directory sends. */
const maxRecordBytes = 16 * 1024 + recordHeaderBytes;

/** `acme-tls/1` as an ALPN extension holds it, its length before it: RFC 8737 §3. */
const acmeProtocol = Buffer.from('\x0aacme-tls/1', 'latin1');

/** What a connection begins with. */
export type Beginning = 'tls' | 'acme-challenge' | 'plain';

/**
 * Looks at the first bytes of a connection, and leaves them in place. How long that may take, and what becomes of one
 * that fails or ends before it tells what it is, is up to the caller.
 *
 * @param wantsChallenge whether a ClientHello is read to its end, to tell `acme-challenge` from `tls`.
 */
export function sniff(socket: Socket, wantsChallenge: boolean, tell: (beginning: Beginning) => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const look = () => {
    const more = socket.read() as Buffer | null;
    if (more === null) return;
    seen = seen.length === 0 ? more : Buffer.concat([seen, more]);
    const beginning = beginningOf(seen, wantsChallenge);
    if (beginning === undefined) return;
    socket.off('readable', look);
    socket.unshift(seen);
    tell(beginning);
  };
  socket.on('readable', look);
}

/** Undefined when more has to be seen. */
function beginningOf(seen: Buffer, wantsChallenge: boolean): Beginning | undefined {
  if (seen[0] !== handshakeRecord) return 'plain';
  if (!wantsChallenge) return 'tls';
  if (seen.length < recordHeaderBytes) return undefined;
  const wanted = Math.min(recordHeaderBytes + seen.readUInt16BE(3), maxRecordBytes);
  if (seen.length < wanted) return undefined;
  return seen.includes(acmeProtocol) ? 'acme-challenge' : 'tls';
}
