import type { TestContext } from 'node:test';
import { Connector } from '../../src/connector/connector.ts';
import type { Joined, Link } from '../../src/connector/joined.ts';
import type { Guard } from '../../src/guard/guard.ts';
import type { Person } from './people.ts';
import { type RawRequest, type RawResponse, request } from './rawClient.ts';
import { Signal } from './signal.ts';

/** What a person keeps who has joined an endpoint; any port is taken. */
export function joinedTo({ url, tls }: Guard, { name, key }: Pick<Person, 'name' | 'key'>): Joined {
  const ca = tls?.anchor?.pem;
  return { id: 'joined2222', user: name, addresses: [url], apiKey: key, port: 0, ...(ca && { ca }) };
}

/** A connector that runs in the process of the test. */
export interface TestConnector {
  readonly connector: Connector;
  readonly port: number;
  /** Every link so far. */
  readonly links: Link[];
  /** One request on a connection of its own. */
  call(what: RawRequest): Promise<RawResponse>;
  /** Waits until so many links have been told. */
  told(count: number): Promise<void>;
}

/** Opens a connector, which closes with the test. */
export async function openConnector(t: TestContext, joined: Joined): Promise<TestConnector> {
  const links: Link[] = [];
  const changed = new Signal();
  const connector = await Connector.open(joined, (link) => {
    links.push(link);
    changed.notify();
  });
  t.after(() => connector.close());
  const port = Number(new URL(connector.url).port);
  return {
    connector,
    port,
    links,
    call: (what) => request(t, port, what),
    told: async (count) => {
      await changed.until(() => links.length >= count || undefined);
    },
  };
}
