/** A teammate: calls the guard from outside the editor, as a person with a terminal or as a program. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';

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

/** Sends a request on a connection of its own, and gives the answer once its headers are there. */
async function send(url: string, options: RequestOptions, body?: string): Promise<IncomingMessage> {
  return await new Promise((resolve, reject) => {
    request(url, { ...options, agent: false }, resolve)
      .once('error', reject)
      .end(body);
  });
}

/** GETs `url`. */
export async function get(url: string, headers: Record<string, string> = {}): Promise<Reply> {
  const response = await send(url, { headers });
  return { status: response.statusCode ?? 0, body: await text(response) };
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
    bash.stdin.on('error', () => undefined); // A curl that asks for nothing may be gone before it is written to.
    bash.stdin.end(input);
    let output = '';
    let complaints = '';
    bash.stdout.setEncoding('utf8').on('data', (piece: string) => {
      output += piece;
    });
    bash.stderr.setEncoding('utf8').on('data', (piece: string) => {
      complaints += piece;
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
  /** When each piece of the answer arrived, on the clock of `performance.now()`. */
  readonly arrivals: number[] = [];
  /** How the answer ended, once it has. */
  outcome: 'complete' | 'cut' | undefined;
  readonly #response: IncomingMessage;
  readonly #ended: Promise<void>;

  private constructor(response: IncomingMessage) {
    this.#response = response;
    response.on('data', () => this.arrivals.push(performance.now()));
    response.on('error', () => undefined); // A cut: `close` follows.
    this.#ended = new Promise((resolve) => {
      response.once('close', () => {
        this.outcome = response.complete ? 'complete' : 'cut';
        resolve();
      });
    });
  }

  /** Starts a request whose answer streams. */
  static async open(url: string, options: RequestOptions = {}, body?: string): Promise<Stream> {
    return new Stream(await send(url, options, body));
  }

  /** The longest silence between two pieces so far, in milliseconds. */
  get longestGap(): number {
    return this.arrivals.slice(1).reduce((longest, at, i) => Math.max(longest, at - (this.arrivals[i] ?? at)), 0);
  }

  /** The client walks away. */
  async leave(): Promise<void> {
    this.#response.destroy();
    await this.#ended;
  }
}

/** Asks the guard, or Ollama itself, for a long answer. */
export async function generate(url: string, model: string, headers: Record<string, string>): Promise<Stream> {
  return await Stream.open(
    `${url}/api/generate`,
    { method: 'POST', headers: { 'content-type': 'application/json', ...headers } },
    JSON.stringify({ model, prompt: 'Count as far as you can.' }),
  );
}

/** The name of the first model that the Ollama at `url` has. */
export async function firstModel(url: string): Promise<string> {
  const name = /"name":"([^"]+)"/.exec((await get(`${url}/api/tags`)).body)?.[1];
  if (name === undefined) throw new Error('no models');
  return name;
}
