/** A TCP socket that waits for connections. */
export interface Listener {
  /** Such as `127.0.0.1` or `::1`; `0.0.0.0` and `::` are every address of the computer. */
  readonly address: string;
  /** Undefined when the system tells it to nobody but another user. */
  readonly pid?: number;
  /** The file name of the program, such as `ollama`. */
  readonly program?: string;
}

/** A listening socket as Linux lists it: its process is found by the inode. */
export interface ProcSocket {
  readonly address: string;
  readonly uid: number;
  readonly inode: string;
}

const listening = '0A';

/**
 * The sockets that listen on a port, in the text of `/proc/net/tcp` or `/proc/net/tcp6`.
 * https://docs.kernel.org/networking/proc_net_tcp.html
 */
export function parseProcNet(text: string, port: number): readonly ProcSocket[] {
  return text.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , uid, , inode] = line.trim().split(/\s+/);
    const [hex = '', hexPort = ''] = local.split(':');
    if (state !== listening || inode === undefined || Number.parseInt(hexPort, 16) !== port) return [];
    const address = addressOf(Buffer.from(hex, 'hex'));
    return address === undefined ? [] : [{ address, uid: Number(uid), inode }];
  });
}

/** An address whose 32-bit words were written in the byte order of the processor: little-endian wherever we run. */
function addressOf(words: Buffer): string | undefined {
  if (words.length !== 4 && words.length !== 16) return undefined;
  const bytes = Buffer.from(words).swap32();
  const mapped = bytes.length === 16 && bytes.subarray(0, 12).equals(v4Mapped);
  // An IPv4-mapped address is IPv4 in all but name.
  if (bytes.length === 4 || mapped) return bytes.subarray(-4).join('.');
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

const v4Mapped = Buffer.from('00000000000000000000ffff', 'hex');

/**
 * The sockets in what `lsof -nP -iTCP:PORT -sTCP:LISTEN -Fpctn` prints: one field a line, its kind in the first
 * letter; process fields hold for the files after them.
 */
export function parseLsof(text: string): readonly Listener[] {
  const found: Listener[] = [];
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    fields.set(line.slice(0, 1), line.slice(1));
    if (!line.startsWith('n')) continue;
    const host = splitPort(line.slice(1)).host;
    const everywhere = fields.get('t') === 'IPv6' ? '::' : '0.0.0.0';
    found.push({
      address: host === '*' ? everywhere : host,
      ...processOf(Number(fields.get('p')), unescaped(fields.get('c') ?? '')),
    });
  }
  return found;
}

/** lsof writes a space as `\x20`. */
function unescaped(name: string): string {
  return name.replace(/\\x([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/**
 * The sockets that listen on a port, in what `netstat -ano` prints on Windows. The word for the state is in the
 * system's language; a listening socket is one whose peer has port 0.
 */
export function parseNetstat(text: string, port: number): readonly Listener[] {
  return text.split('\n').flatMap((line) => {
    const [protocol, local = '', peer = '', ...rest] = line.trim().split(/\s+/);
    const own = splitPort(local);
    if (protocol !== 'TCP' || own.port !== port || splitPort(peer).port !== 0) return [];
    return [{ address: own.host, ...processOf(Number(rest.at(-1)), '') }];
  });
}

/** The program in what `tasklist /FI "PID eq N" /FO CSV /NH` prints; undefined when there is no such process. */
export function parseTasklist(text: string): string | undefined {
  const [, name] = /^"([^"]+)","\d+"/.exec(text.trim()) ?? [];
  return name === undefined ? undefined : readable(name);
}

/** A program's name as it may be shown: on one line, short, and without anything a renderer could take for markup. */
export function readable(name: string): string {
  return name.replace(/[^\p{L}\p{N} ._+@-]/gu, '?').slice(0, 100);
}

/** What is known of a process, with the unknown left out. */
export function processOf(pid: number | undefined, program: string): Omit<Listener, 'address'> {
  return {
    ...(pid !== undefined && Number.isSafeInteger(pid) && pid > 0 && { pid }),
    ...(program !== '' && { program: readable(program) }),
  };
}

/** Splits `127.0.0.1:80`, `[::1]:80` or `*:80`. */
function splitPort(text: string): { readonly host: string; readonly port: number } {
  const colon = text.lastIndexOf(':');
  const port = text.slice(colon + 1);
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: /^\d+$/.test(port) ? Number(port) : Number.NaN };
}
