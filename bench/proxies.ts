import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import bcrypt from 'bcryptjs';
import { type Certificate, makeCertificate } from './certificate.ts';
import { get } from './clients.ts';
import type { Processes, Running } from './processes.ts';
import { hasProgram } from './processes.ts';
import type { Upstream } from './upstreamProcess.ts';

/**
 * What is compared. `nginx apr1` is nginx with the hash that `htpasswd` makes when nobody asks for bcrypt; `nginx no hash`
 * has the password in clear in its file, so that hashing does not hide what TLS costs.
 */
export type ProxyKind = 'guard' | 'caddy' | NginxKind;
type NginxKind = 'nginx' | 'nginx apr1' | 'nginx no hash';

/** A proxy that answers. */
export interface RunningProxy {
  readonly kind: ProxyKind;
  readonly url: string;
  readonly pid: number;
  /** The right user's header. */
  readonly authorization: string;
  /** The guard's API key, as a header. */
  readonly bearer: string | undefined;
  /** The certificate that it presents, in PEM; undefined where nothing is encrypted. */
  readonly ca: string | undefined;
  /** Milliseconds from the start of the process to its first answer. */
  readonly startedIn: number;
  complaint(): string;
  stop(patienceMs?: number): Promise<void>;
}

/** Ways to start a proxy that are not the usual one; all but `tls` are the guard's. */
export interface Variant {
  /** With TLS; every proxy presents the same certificate. */
  readonly tls?: boolean;
  /** Another data folder, copied before use. */
  readonly data?: string;
  /** Another build. */
  readonly cli?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** The user of every proxy, and a password that nobody guesses. */
export const userName = 'bench';
const password = randomBytes(12).toString('base64url');

/** `Authorization` for the bench's user with any password. */
export function basic(secret: string): string {
  return `Basic ${Buffer.from(`${userName}:${secret}`).toString('base64')}`;
}

/** bcrypt costs: Caddy's default; `htpasswd -B` needs one given, and 10 is the usual advice; the guard's own. */
export const bcryptCost = { caddy: 14, nginx: 10, guard: 12 } as const;

/** Starts proxies in front of one upstream, each pinned to the core of the proxies. */
export class Proxies {
  /** Which can be started here. */
  readonly kinds: readonly ProxyKind[];
  /** The guard's command line. */
  readonly cli: string;
  /** A data folder with the bench's user and a key; empty when there is no guard. */
  readonly data: string;
  readonly #processes: Processes;
  readonly #upstream: Upstream;
  readonly #core: number | undefined;
  readonly #hashes: ReadonlyMap<ProxyKind, string>;
  readonly #bearer: string | undefined;
  #certificate: Promise<Certificate> | undefined;
  /** The right user's header, for every proxy. */
  readonly authorization = basic(password);

  private constructor(
    parts: { processes: Processes; upstream: Upstream; core: number | undefined; cli: string },
    prepared: { kinds: readonly ProxyKind[]; hashes: ReadonlyMap<ProxyKind, string>; data: string; key: string },
  ) {
    this.#processes = parts.processes;
    this.#upstream = parts.upstream;
    this.#core = parts.core;
    this.cli = parts.cli;
    this.kinds = prepared.kinds;
    this.data = prepared.data;
    this.#hashes = prepared.hashes;
    this.#bearer = prepared.key === '' ? undefined : `Bearer ${prepared.key}`;
  }

  /** Makes the credentials. `guard` says whether the command line is there. */
  static async prepare(parts: {
    processes: Processes;
    upstream: Upstream;
    core: number | undefined;
    cli: string;
    guard: boolean;
  }): Promise<Proxies> {
    const { processes, guard, cli } = parts;
    const kinds: ProxyKind[] = [];
    const hashes = new Map<ProxyKind, string>();
    let data = '';
    let key = '';
    if (guard) {
      kinds.push('guard');
      data = await processes.folder('data');
      const run = (args: string[], input = ''): Promise<string> =>
        processes.run(process.execPath, [cli, ...args, '--data', data], { input });
      await run(['user', 'add', userName, '--password-stdin'], `${password}\n`);
      key = (await run(['key', 'add', userName])).trim();
      // Caddy and nginx hold nobody back either; what turns cost is a row of its own.
      await writeFile(join(data, 'policy.json'), JSON.stringify({ queue: { concurrency: 1_024 } }), { mode: 0o600 });
    }
    if (hasProgram('caddy')) {
      kinds.push('caddy');
      hashes.set('caddy', (await processes.run('caddy', ['hash-password'], { input: `${password}\n` })).trim());
    }
    if (hasProgram('nginx')) {
      kinds.push('nginx', 'nginx no hash');
      hashes.set('nginx no hash', `{PLAIN}${password}`);
      hashes.set('nginx', (await bcrypt.hash(password, bcryptCost.nginx)).replace(/^\$2b\$/, '$2y$'));
      if (hasProgram('openssl')) {
        kinds.push('nginx apr1');
        const hash = await processes.run('openssl', ['passwd', '-apr1', '-stdin'], { input: `${password}\n` });
        hashes.set('nginx apr1', hash.trim());
      }
    }
    return new Proxies(parts, { kinds, hashes, data, key });
  }

  /** Those of `wanted` that are here, in that order. */
  among(...wanted: readonly ProxyKind[]): ProxyKind[] {
    return wanted.filter((kind) => this.kinds.includes(kind));
  }

  /** A fresh process with nothing cached, that answers. */
  async start(kind: ProxyKind, variant: Variant = {}): Promise<RunningProxy> {
    this.#certificate ??= variant.tls === true ? makeCertificate(this.#processes) : undefined;
    const certificate = variant.tls === true ? await this.#certificate : undefined;
    if (kind === 'guard') return this.#startGuard(variant, certificate);
    return kind === 'caddy' ? this.#startCaddy(certificate) : this.#startNginx(kind, certificate);
  }

  /** Starts a proxy for the duration of `use`. */
  async using<T>(kind: ProxyKind, use: (proxy: RunningProxy) => Promise<T>, variant: Variant = {}): Promise<T> {
    const proxy = await this.start(kind, variant);
    try {
      return await use(proxy);
    } finally {
      await proxy.stop(500);
    }
  }

  async #startGuard(
    { data = this.data, cli = this.cli, env = {} }: Variant,
    certificate: Certificate | undefined,
  ): Promise<RunningProxy> {
    const copy = await this.#processes.folder('data');
    await cp(data, copy, { recursive: true });
    const started = performance.now();
    const running = await this.#processes.start(
      process.execPath,
      [
        ...[cli, 'serve', '--listen', '127.0.0.1:0', '--upstream', this.#upstream.url, '--data', copy],
        ...(certificate === undefined ? [] : ['--tls', `${certificate.file},${certificate.keyFile}`]),
      ],
      { core: this.#core, env },
    );
    const url = await listeningUrl(running);
    return {
      ...this.#proxy('guard', url, running, performance.now() - started, certificate),
      bearer: this.#bearer,
    };
  }

  /** The published recipe, mended: valid in Caddy 2.6, everything behind the password, no path stripped, no buffering. */
  async #startCaddy(certificate: Certificate | undefined): Promise<RunningProxy> {
    const folder = await this.#processes.folder('caddy');
    const port = await freePort();
    const file = join(folder, 'Caddyfile');
    await writeFile(
      file,
      `{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
:${port} {
  bind 127.0.0.1${certificate === undefined ? '' : `\n  tls ${certificate.file} ${certificate.keyFile}`}
  basicauth {
    ${userName} ${this.#hashes.get('caddy')}
  }
  reverse_proxy ${this.#upstream.host}:${this.#upstream.port} {
    flush_interval -1
    header_up -Authorization
  }
}
`,
    );
    const started = performance.now();
    const running = await this.#processes.start('caddy', ['run', '--config', file, '--adapter', 'caddyfile'], {
      core: this.#core,
    });
    const url = localUrl(port, certificate);
    await answers(url, running, certificate);
    return this.#proxy('caddy', url, running, performance.now() - started, certificate);
  }

  async #startNginx(kind: NginxKind, certificate: Certificate | undefined): Promise<RunningProxy> {
    const folder = await this.#processes.folder('nginx');
    const port = await freePort();
    await mkdir(join(folder, 'temp'));
    await writeFile(join(folder, 'htpasswd'), `${userName}:${this.#hashes.get(kind)}\n`, { mode: 0o600 });
    // Where root starts it, the worker would be a user who may not read this private folder.
    const user = process.getuid?.() === 0 ? 'user root root;' : '';
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    await writeFile(
      join(folder, 'nginx.conf'),
      `${user}
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 8192; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${folder}/temp/${name};`).join('\n  ')}
  keepalive_requests 100000000;
  upstream ollama {
    server ${this.#upstream.host}:${this.#upstream.port};
    keepalive 256;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096${certificate === undefined ? '' : ' ssl'};
    ${nginxTls(certificate)}
    auth_basic "bench";
    auth_basic_user_file ${folder}/htpasswd;
    location / {
      proxy_pass http://ollama;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "";
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`,
    );
    const started = performance.now();
    const running = await this.#processes.start('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')], {
      core: this.#core,
    });
    const url = localUrl(port, certificate);
    await answers(url, running, certificate);
    return this.#proxy(kind, url, running, performance.now() - started, certificate);
  }

  #proxy(
    kind: ProxyKind,
    url: string,
    running: Running,
    startedIn: number,
    certificate: Certificate | undefined,
  ): RunningProxy {
    const { pid, complaint, stop } = running;
    const ca = certificate?.pem;
    return { kind, url, pid, authorization: basic(password), bearer: undefined, ca, startedIn, complaint, stop };
  }
}

function localUrl(port: number, certificate: Certificate | undefined): string {
  return `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
}

/** Debian's nginx still offers TLS 1.0 by itself. Tickets need no setting. */
function nginxTls(certificate: Certificate | undefined): string {
  if (certificate === undefined) return '';
  const { file, keyFile } = certificate;
  return `ssl_certificate ${file}; ssl_certificate_key ${keyFile}; ssl_protocols TLSv1.2 TLSv1.3;`;
}

/** The guard says on stdout when it can answer, and where. */
async function listeningUrl(running: Running): Promise<string> {
  const { child, complaint } = running;
  if (child.stdout === null) throw new Error('unreachable: the child has a pipe');
  const lines = createInterface({ input: child.stdout });
  const timer = setTimeout(() => lines.close(), 20_000);
  try {
    for await (const line of lines) {
      const [, url] = /listening on (https?:\/\/\S+)/.exec(line) ?? [];
      if (url !== undefined) return url;
    }
  } finally {
    clearTimeout(timer);
    child.stdout.resume();
  }
  throw new Error(`The guard did not start. ${complaint()}`);
}

/** Waits until something answers there; asks without a credential, which costs nobody a hash. */
async function answers(url: string, running: Running, certificate: Certificate | undefined): Promise<void> {
  running.child.stdout?.resume();
  for (let attempt = 0; attempt < 500; attempt += 1) {
    if (running.child.exitCode !== null) break;
    const { status } = await get(url, undefined, { timeoutMs: 5000, ca: certificate?.pem });
    if (status !== 0) return;
    await sleep(10);
  }
  throw new Error(`Nothing answers: ${running.complaint()}`);
}

/** A port that was free a moment ago: Caddy and nginx cannot pick one and say which. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('unreachable: a TCP server has a port');
  return address.port;
}
