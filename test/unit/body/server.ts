import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { refuse } from '../../../src/guard/answers.ts';
import { BodyBudget, type BudgetLimits } from '../../../src/guard/body/budget.ts';
import type { ReadBody } from '../../../src/guard/body/readBody.ts';
import type { ReceiveLimits } from '../../../src/guard/body/receive.ts';
import { MiB } from '../../../src/guard/config.ts';
import { Signal } from '../../support/signal.ts';

/** A server that reads bodies, and answers with those that it takes or with a refusal. */
export interface BodyServer {
  readonly port: number;
  /** Bytes that are held, by everyone. */
  readonly held: number;
  /** What reading came to, in order. */
  readonly outcomes: readonly ReadBody[];
  until(condition: () => boolean): Promise<unknown>;
}

type Read = (req: IncomingMessage, res: ServerResponse, limits: ReceiveLimits) => Promise<ReadBody>;

/** Starts one; it ends with the test. */
export async function startBodyServer(
  t: TestContext,
  read: Read,
  {
    maxBytes = MiB,
    budget: limits = { total: 4 * MiB },
  }: { readonly maxBytes?: number; readonly budget?: BudgetLimits } = {},
): Promise<BodyServer> {
  const budget = new BodyBudget(limits);
  let held = 0;
  const outcomes: ReadBody[] = [];
  const changed = new Signal();
  const answer = async (req: IncomingMessage, res: ServerResponse) => {
    req.on('error', () => res.destroy());
    const hold = budget.hold(String(req.headers['x-user']));
    let taken = 0;
    res.once('close', () => {
      hold.release();
      held -= taken;
      changed.notify();
    });
    const take = (bytes: number) => {
      const fits = hold.take(bytes);
      taken += fits ? bytes : 0;
      held += fits ? bytes : 0;
      changed.notify();
      return fits;
    };
    const body = await read(req, res, { maxBytes, hold: { ...hold, take } });
    outcomes.push(body);
    changed.notify();
    if (body === undefined) return;
    if ('refusal' in body) refuse(res, body.refusal, '/v1/chat/completions');
    else res.writeHead(200, { 'x-type': body.contentType ?? '' }).end(Buffer.concat(body.parts));
  };
  const server = createServer((req, res) => void answer(req, res));
  server.on('checkContinue', (req, res) => void answer(req, res));
  server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get held() {
      return held;
    },
    outcomes,
    until: (condition) => changed.until(() => condition() || undefined),
  };
}
