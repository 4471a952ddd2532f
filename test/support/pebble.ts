/** An ACME directory, Let's Encrypt's own for tests, and the names that it looks up: Debian's package `pebble`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createCertificates, type TestCertificates } from './certificates.ts';
import { freePort } from './freePort.ts';
import { Signal } from './signal.ts';

/** What listens, and where the directory asks. */
const portNames = ['directory', 'management', 'dns', 'dnsManagement', 'tls', 'http'] as const;

type Ports = Readonly<Record<(typeof portNames)[number], number>>;

/** How a directory is to be. */
export interface PebbleOptions {
  /** Seconds; years when left out. */
  readonly validitySeconds?: number;
  /** HMAC keys by the ids of external accounts, one of which every new account needs then. */
  readonly externalAccounts?: Readonly<Record<string, string>>;
}

/** A program of a test, line by line. */
class Program {
  readonly lines: string[] = [];
  readonly #changed = new Signal();
  readonly #child;

  constructor(command: string, args: readonly string[], options: { readonly env?: NodeJS.ProcessEnv } = {}) {
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    for (const input of [this.#child.stdout, this.#child.stderr]) {
      createInterface({ input }).on('line', (line) => {
        this.lines.push(line);
        this.#changed.notify();
      });
    }
    this.#child.on('close', () => this.#changed.notify());
  }

  /** Waits until so many lines hold a text. */
  async says(text: string, times = 1): Promise<void> {
    await this.#changed.until(() => {
      if (this.lines.filter((line) => line.includes(text)).length >= times) return true;
      if (this.#child.exitCode !== null) throw new Error(this.lines.join('\n'));
      return undefined;
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await closed;
  }
}

/** A directory that makes sure of domains in earnest, and forgets everything when it stops. */
export class Pebble {
  readonly #folder: string;
  readonly #ports: Ports;
  readonly #authority: TestCertificates;
  readonly #own: ReturnType<TestCertificates['sign']>;
  /** What runs that are over have written. */
  readonly #before: string[] = [];
  #options: PebbleOptions;
  #running: Program | undefined;

  private constructor(folder: string, ports: Ports, authority: TestCertificates, options: PebbleOptions) {
    this.#folder = folder;
    this.#ports = ports;
    this.#authority = authority;
    this.#own = authority.sign('IP:127.0.0.1');
    this.#options = options;
  }

  /** Starts a directory; it stops with the test. */
  static async start(t: TestContext, options: PebbleOptions = {}): Promise<Pebble> {
    const folder = await mkdtemp(join(tmpdir(), 'pebble-'));
    t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));
    const ports = await freePorts();
    const names = new Program('pebble-challtestsrv', [
      ...['-dns01', `127.0.0.1:${ports.dns}`, '-management', `127.0.0.1:${ports.dnsManagement}`],
      ...['-defaultIPv4', '', '-defaultIPv6', '', '-http01', '', '-https01', '', '-tlsalpn01', ''],
    ]);
    t.after(() => names.stop());
    await names.says('Starting challenge servers');
    const pebble = new Pebble(folder, ports, createCertificates(t), options);
    t.after(() => pebble.stop());
    await pebble.start();
    return pebble;
  }

  get directory(): string {
    return `https://127.0.0.1:${this.#ports.directory}/dir`;
  }

  /** The authority that its own certificate is from. */
  get caFile(): string {
    return this.#authority.caFile;
  }

  /** Where it asks for `tls-alpn-01`. */
  get tlsPort(): number {
    return this.#ports.tls;
  }

  /** Where it asks for `http-01`. */
  get httpPort(): number {
    return this.#ports.http;
  }

  /** Starts again, with nothing left of the run before but the addresses. */
  async start(options: PebbleOptions = this.#options): Promise<void> {
    this.#options = options;
    const config = join(this.#folder, 'config.json');
    const { directory, management, dns, tls, http } = this.#ports;
    await writeFile(
      config,
      JSON.stringify({
        pebble: {
          listenAddress: `127.0.0.1:${directory}`,
          managementListenAddress: `127.0.0.1:${management}`,
          certificate: this.#own.certificate,
          privateKey: this.#own.key,
          httpPort: http,
          tlsPort: tls,
          certificateValidityPeriod: options.validitySeconds,
          externalAccountBindingRequired: options.externalAccounts !== undefined,
          externalAccountMACKeys: options.externalAccounts,
        },
      }),
    );
    const env = { ...process.env, PEBBLE_VA_NOSLEEP: '1' };
    const running = new Program('pebble', ['-config', config, '-dnsserver', `127.0.0.1:${dns}`], { env });
    this.#running = running;
    // It says that it listens before it does.
    await running.says('ACME directory available');
    while (!(await accepts(directory)) || !(await accepts(management))) await setImmediate();
  }

  async stop(): Promise<void> {
    await this.#running?.stop();
    this.#before.push(...(this.#running?.lines ?? []));
    this.#running = undefined;
  }

  /** Makes a domain lead to an address, from now on. */
  async resolve(domain: string, address: string): Promise<void> {
    const manage = async (what: string, body: object) => {
      const url = `http://127.0.0.1:${this.#ports.dnsManagement}/${what}`;
      await fetch(url, { method: 'POST', body: JSON.stringify(body) });
    };
    await manage('clear-a', { host: domain });
    await manage('add-a', { host: domain, addresses: [address] });
  }

  /** The certificate, in PEM, that what it issues now leads to. */
  root(): Promise<string> {
    return this.#get(this.#ports.management, '/roots/0');
  }

  /** What it was asked for so far, such as `POST /order-plz`, in order. */
  async requests(): Promise<readonly string[]> {
    return (await this.#log()).flatMap((line) => {
      const [, request] = / ((?:GET|HEAD|POST) \S+) -> calling handler/.exec(line) ?? [];
      return request === undefined || request === 'GET /nonce-plz' ? [] : [request];
    });
  }

  /** What it has written of all that came before this call. */
  async #log(): Promise<readonly string[]> {
    const running = this.#running;
    if (running === undefined) return this.#before;
    // Clients ask for nonces by HEAD: once this is in the log, so is all that came before.
    const marker = 'GET /nonce-plz ';
    const seen = running.lines.filter((line) => line.includes(marker)).length;
    await this.#get(this.#ports.directory, '/nonce-plz');
    await running.says(marker, seen + 1);
    return [...this.#before, ...running.lines];
  }

  /** How many orders were made so far; a request whose nonce was rejected made none. */
  async orders(): Promise<number> {
    return (await this.#log()).filter((line) => /There are now \d+ orders/.test(line)).length;
  }

  /** How many accounts were made so far. */
  async accounts(): Promise<number> {
    return (await this.#log()).filter((line) => /There are now \d+ accounts/.test(line)).length;
  }

  async #get(port: number, path: string): Promise<string> {
    const { ca } = this.#authority;
    const [response] = await once(httpsRequest({ host: '127.0.0.1', port, path, ca, agent: false }).end(), 'response');
    return (await response.setEncoding('utf8').toArray()).join('');
  }
}

async function freePorts(): Promise<Ports> {
  const ports = new Set<number>();
  while (ports.size < portNames.length) ports.add(await freePort());
  const free = [...ports];
  return Object.fromEntries(portNames.map((name, i) => [name, free[i]])) as unknown as Ports;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const isOpen = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  return isOpen;
}
