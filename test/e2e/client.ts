/** A teammate: calls the guard from outside the editor, as a person with a terminal or as a program. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** What came back from an HTTP request. */
export interface Reply {
  readonly status: number;
  readonly body: string;
}

/** An `Authorization` header for a password. */
export function basic(user: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

/** An `Authorization` header for an API key. */
export function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` };
}

/** GETs `url`. */
export async function get(url: string, headers: Record<string, string> = {}): Promise<Reply> {
  const response = await fetch(url, { headers });
  return { status: response.status, body: await response.text() };
}

/**
 * Runs a curl command in bash exactly as it was copied, on a terminal-less session (so that a password it asks for is
 * read from `input`), and gives what the server said.
 */
export async function runCurl(command: string, input = ''): Promise<Reply> {
  const home = mkdtempSync(path.join(tmpdir(), 'ollama-guard-curl-'));
  try {
    // curl's own configuration makes it tell the status, with not a character of the command changed.
    writeFileSync(path.join(home, '.curlrc'), 'silent\nshow-error\nwrite-out = "\\n%{http_code}"\n');
    const bash = spawn('bash', ['-c', command], {
      env: { PATH: process.env.PATH, HOME: home },
      detached: true,
      stdio: 'pipe',
    });
    bash.stdin.end(input);
    let output = '';
    let complaints = '';
    bash.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    bash.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints += text;
    });
    const code = await new Promise((resolve) => bash.once('close', resolve));
    if (code !== 0) throw new Error(`${command}\nended with ${String(code)}: ${complaints}`);
    const end = output.lastIndexOf('\n');
    return { status: Number(output.slice(end + 1)), body: output.slice(0, end) };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** The address in a curl command. */
export function urlOf(command: string): string {
  const [url] = /https?:\/\/[^\s'"]+/.exec(command) ?? [];
  if (url === undefined) throw new Error(`no address in: ${command}`);
  return url;
}

/** Whether something listens there. */
export async function isOpen(port: number, host = '127.0.0.1'): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, host);
    const answer = (open: boolean) => () => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', answer(true)).once('error', answer(false));
  });
}

/** A streaming answer under way. */
export class Stream {
  readonly #response: Response;
  readonly #abort: AbortController;
  /** When each piece of the answer arrived, on the clock of `performance.now()`. */
  readonly arrivals: number[] = [];
  /** Settles when the answer ends: complete, or cut. */
  readonly ended: Promise<'complete' | 'cut'>;

  private constructor(response: Response, abort: AbortController) {
    this.#response = response;
    this.#abort = abort;
    this.ended = this.#read();
  }

  /** Starts a request whose answer streams. */
  static async open(url: string, init: RequestInit = {}): Promise<Stream> {
    const abort = new AbortController();
    return new Stream(await fetch(url, { ...init, signal: abort.signal }), abort);
  }

  get status(): number {
    return this.#response.status;
  }

  /** The longest silence between two pieces so far, in milliseconds. */
  get longestGap(): number {
    return this.arrivals.slice(1).reduce((longest, at, i) => Math.max(longest, at - (this.arrivals[i] ?? at)), 0);
  }

  /** The client walks away. */
  async leave(): Promise<void> {
    this.#abort.abort();
    await this.ended;
  }

  async #read(): Promise<'complete' | 'cut'> {
    try {
      for await (const _piece of this.#response.body ?? []) this.arrivals.push(performance.now());
      return 'complete';
    } catch {
      return 'cut';
    }
  }
}

/** Asks the guard, or Ollama itself, for a long answer. */
export async function generate(url: string, model: string, headers: Record<string, string>): Promise<Stream> {
  return await Stream.open(`${url}/api/generate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model, prompt: 'Count as far as you can.' }),
  });
}

/** The name of the first model that the Ollama at `url` has. */
export async function firstModel(url: string): Promise<string> {
  const name = /"name":"([^"]+)"/.exec((await get(`${url}/api/tags`)).body)?.[1];
  if (name === undefined) throw new Error('no models');
  return name;
}
