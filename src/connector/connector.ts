import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { type RefusalCode, refuse } from '../guard/answers.ts';
import { endpointUrl, type GuardConfig, isLoopback, MiB, parseConfig } from '../guard/config.ts';
import { bodyProblem, hasBody } from '../guard/entry/body.ts';
import { framingProblem } from '../guard/entry/framing.ts';
import { hostOf } from '../guard/entry/host.ts';
import { close, createListener, type Listener, listen, listeningAt } from '../guard/entry/listener.ts';
import { isForeignPage } from '../guard/entry/origin.ts';
import { pipelineProblem } from '../guard/entry/pipelining.ts';
import { canonicalPath } from '../guard/entry/target.ts';
import { decideRoute } from '../guard/policy/policy.ts';
import { capabilities } from '../guard/policy/policyDocument.ts';
import { Endpoint } from './endpoint.ts';
import type { Joined, Link } from './joined.ts';

/** Programs on this computer, and nobody else: whoever comes by needs no credential. */
const host = '127.0.0.1';

/** How large a body may be is the endpoint's to say; this is the largest that it can allow. */
const maxBodyBytes = 4_096 * MiB;

const noOrigins: ReadonlySet<string> = new Set();

/** Refusals after which nothing on the same connection can be trusted. */
const endsConnection: ReadonlySet<RefusalCode> = new Set(['bad-request', 'pipelined']);

/**
 * A joined endpoint as an Ollama of this computer: adds the credential, makes sure whom it is sent to, and forwards as
 * the guard does.
 */
export class Connector {
  readonly #config: GuardConfig;
  readonly #server: Listener;
  readonly #endpoint: Endpoint;

  private constructor(joined: Joined, onLink: (link: Link) => void) {
    this.#config = parseConfig({ host, port: 0, upstream: joined.addresses[0], maxBodyBytes });
    const events = {
      onRequest: (req: IncomingMessage, res: ServerResponse) => this.#handle(req, res),
      onConnection: () => {},
    };
    this.#server = createListener(this.#config, events, { onAlpn: undefined });
    this.#endpoint = new Endpoint(joined, this.#config, onLink);
  }

  /**
   * Opens a connector at the port of a joined endpoint.
   *
   * @param onLink called when its link is another than before; it is open at first.
   * @throws GuardError what stands in the way of listening.
   */
  static async open(joined: Joined, onLink: (link: Link) => void): Promise<Connector> {
    const connector = new Connector(joined, onLink);
    await listen(connector.#server, host, joined.port);
    connector.#endpoint.open();
    return connector;
  }

  /** Where the endpoint is reached on this computer, such as `http://127.0.0.1:11436`. */
  get url(): string {
    const { address, port } = listeningAt(this.#server);
    return endpointUrl(address, port);
  }

  /** Cuts what is under way. */
  async close(): Promise<void> {
    const closed = close(this.#server);
    this.#server.closeAllConnections();
    this.#endpoint.close();
    await closed;
  }

  /** A request's way: entry, surface, forward. */
  #handle(req: IncomingMessage, res: ServerResponse): void {
    req.on('error', () => res.destroy());
    res.on('error', () => res.destroy());
    const target = canonicalPath(req.url ?? '');
    const path = target ?? '';
    const problem = entryProblem(req, target) ?? pipelineProblem(req, res);
    if (problem !== undefined) {
      refuse(res, problem, path, { close: endsConnection.has(problem) });
      return;
    }
    const own = ownAnswer(req, path);
    if (own !== undefined) {
      answerOwn(req, res, own, path);
      return;
    }
    // What a user may do is the endpoint's to decide; what is not on the surface is nobody's.
    const decision = decideRoute(capabilities, req.method ?? '', path);
    if ('refusal' in decision) {
      refuse(res, decision.refusal, path, decision.allow === undefined ? {} : { allow: decision.allow });
      return;
    }
    const { body } = decision.route;
    // How large an upload may be is the endpoint's to say.
    const maxBodyBytes = body === 'blob' ? Number.POSITIVE_INFINITY : this.#config.maxBodyBytes;
    const bodyRefusal = bodyProblem(req, body, maxBodyBytes);
    if (bodyRefusal !== undefined) {
      refuse(res, bodyRefusal, path);
      return;
    }
    this.#endpoint.forward(req, res, { path, body, maxBodyBytes });
  }
}

/** Why a request may not come in at all. A page whose name leads here (DNS rebinding) is told apart by its Host. */
function entryProblem(req: IncomingMessage, path: string | undefined): RefusalCode | undefined {
  if (req.httpVersionMajor !== 1) return 'bad-request';
  const framing = framingProblem(req.rawHeaders);
  if (framing !== undefined) return framing;
  if (path === undefined) return 'bad-target';
  const name = hostOf(req.headers.host ?? '');
  if (name === undefined || !isThisComputer(name)) return 'not-local';
  return isForeignPage(req.headers, noOrigins) ? 'not-local' : undefined;
}

function isThisComputer(name: string): boolean {
  return name === 'localhost' || (isIP(name) !== 0 && isLoopback(name));
}

/** What is answered here: the heartbeat of the ollama command line, and whether the connector is up. */
const ownAnswers: ReadonlyMap<string, string> = new Map([
  ['HEAD /', ''],
  ['GET /_guard/health', '{"status":"ok"}'],
  ['HEAD /_guard/health', '{"status":"ok"}'],
]);

function ownAnswer({ method }: IncomingMessage, path: string): string | undefined {
  return ownAnswers.get(`${method} ${path}`);
}

function answerOwn(req: IncomingMessage, res: ServerResponse, body: string, path: string): void {
  if (hasBody(req)) {
    refuse(res, 'unexpected-body', path, { close: true });
    return;
  }
  res.setHeader('content-type', body === '' ? 'text/plain; charset=utf-8' : 'application/json; charset=utf-8');
  res.setHeader('cache-control', 'no-store');
  res.setHeader('content-length', Buffer.byteLength(body));
  res.end(body);
}
