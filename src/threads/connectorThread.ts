// Worker entry: connectors to joined endpoints, on Node's own `http`, which VS Code sends nowhere else.
import { parentPort } from 'node:worker_threads';
import { Connector } from '../connector/connector.ts';
import { redeem } from '../connector/redeem.ts';
import type { ConnectorHostFunctions, ConnectorThreadFunctions } from './connectorMessages.ts';
import { connect, failureOf } from './messages.ts';

if (parentPort === null) throw new Error('connectorThread runs as a worker');

const connectors = new Map<string, Connector>();
const redeeming = new Map<number, AbortController>();

const functions: ConnectorThreadFunctions = {
  async open(joined) {
    const { id } = joined;
    try {
      await functions.close(id);
      const connector = await Connector.open(joined, (link) => void host.onLink(id, link));
      connectors.set(id, connector);
      return { url: connector.url };
    } catch (error) {
      return failureOf(error, 'The connector could not open: {reason}');
    }
  },
  async close(id) {
    const connector = connectors.get(id);
    connectors.delete(id);
    await connector?.close();
  },
  async redeem(call, invite) {
    const cancelled = new AbortController();
    redeeming.set(call, cancelled);
    try {
      return { joined: await redeem(invite, cancelled.signal) };
    } catch (error) {
      return failureOf(error, 'The invite could not be redeemed: {reason}');
    } finally {
      redeeming.delete(call);
    }
  },
  cancelRedeem: (call) => redeeming.get(call)?.abort(),
};

const host = connect<ConnectorHostFunctions, ConnectorThreadFunctions>(parentPort, functions, {
  eventNames: ['onLink'],
});
