import { Worker } from 'node:worker_threads';
import type { Joined, Link } from '../connector/joined.ts';
import { GuardError } from '../guard/errors.ts';
import type { Invite } from '../guard/share/inviteLink.ts';
import type { ConnectorHostFunctions, ConnectorThreadFunctions } from './connectorMessages.ts';
import { connectorThreadEntry } from './entries.ts';
import { connect, throwFailure } from './messages.ts';

/** Told how connectors get on. */
export interface ConnectorHostListener {
  /** Called when the link of an open connector is another than before; it is open at first. */
  onLink(id: string, link: Link): void;
  /** Called when the thread ended without having been told to: nothing is open any more, and can be opened again. */
  onDeath?(error: GuardError): void;
}

interface ConnectorThread {
  readonly worker: Worker;
  readonly calls: ReturnType<typeof connect<ConnectorThreadFunctions, ConnectorHostFunctions>>;
  /** Why the thread is no more; settles calls that it leaves open. */
  readonly death: PromiseWithResolvers<never>;
}

/**
 * Runs connectors on a thread of their own, for the extension and the command line alike: one for all of a process,
 * which starts with its first use.
 */
export class ConnectorHost {
  readonly #listener: ConnectorHostListener;
  /** Connectors that are open, or about to be. */
  readonly #open = new Set<string>();
  #thread: ConnectorThread | undefined;
  #calls = 0;

  constructor(listener: ConnectorHostListener) {
    this.#listener = listener;
  }

  /**
   * Opens a connector at the port of a joined endpoint, in place of one of the same id.
   *
   * @returns where the endpoint is reached on this computer, such as `http://127.0.0.1:11436`.
   * @throws GuardError what stands in the way of listening, `thread-died`.
   */
  async open(joined: Joined): Promise<{ readonly url: string }> {
    const { calls, death } = this.#start();
    this.#open.add(joined.id);
    try {
      const result = await Promise.race([calls.open(joined), death.promise]);
      return 'url' in result ? result : throwFailure(result);
    } catch (error) {
      this.#open.delete(joined.id);
      throw error;
    }
  }

  /** Closes a connector and cuts what is under way; does nothing when there is none. */
  async close(id: string): Promise<void> {
    this.#open.delete(id);
    // A thread that dies takes its connectors along.
    await this.#thread?.calls.close(id).catch(() => undefined);
  }

  /**
   * Exchanges an invite for an API key: see connector/redeem.ts.
   *
   * @throws GuardError why the invite was not taken, `thread-died`; the signal's reason when it fires.
   */
  async redeem(invite: Invite, signal: AbortSignal): Promise<Omit<Joined, 'port'>> {
    signal.throwIfAborted();
    const { calls, death } = this.#start();
    const call = this.#calls++;
    const cancel = () => void calls.cancelRedeem.asEvent(call);
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const result = await Promise.race([calls.redeem(call, invite), death.promise]);
      if ('joined' in result) return result.joined;
      signal.throwIfAborted();
      return throwFailure(result);
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  /** Closes everything. */
  async dispose(): Promise<void> {
    this.#open.clear();
    await this.#end();
  }

  #start(): ConnectorThread {
    if (this.#thread !== undefined) return this.#thread;
    const worker = new Worker(connectorThreadEntry, { name: 'ollama-guard-connector', execArgv: [] });
    const calls = connect<ConnectorThreadFunctions, ConnectorHostFunctions>(worker, {
      onLink: (id, link) => {
        if (this.#open.has(id)) this.#listener.onLink(id, link);
      },
    });
    const death = Promise.withResolvers<never>();
    death.promise.catch(() => undefined);
    const thread = { worker, calls, death };
    worker.on('error', (error) => this.#died(thread, String(error)));
    worker.on('exit', () => this.#died(thread, 'it ended'));
    this.#thread = thread;
    return thread;
  }

  /** Nothing gets through any more, and whoever joined is told. */
  #died(thread: ConnectorThread, reason: string): void {
    if (this.#thread !== thread) return;
    const error = new GuardError('thread-died', 'The connector thread died: {reason}.', { args: { reason } });
    thread.death.reject(error);
    void this.#end();
    const open = [...this.#open];
    this.#open.clear();
    for (const id of open) this.#listener.onLink(id, { status: 'broken', message: error.detail });
    this.#listener.onDeath?.(error);
  }

  async #end(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    thread?.death.reject(new GuardError('thread-died', 'The connector was closed.'));
    thread?.calls.$close();
    await thread?.worker.terminate();
  }
}
