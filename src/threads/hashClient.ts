import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { GuardError } from '../guard/errors.ts';
import { hashThreadEntry } from './entries.ts';
import { connect, type HashConnect, type HashThreadFunctions } from './messages.ts';

/** Owns the hash thread, which starts with its first use. */
export class HashClient {
  readonly #onDeath: (error: GuardError) => void;
  #worker: Worker | undefined;
  #calls: ReturnType<typeof connect<HashThreadFunctions, object>> | undefined;

  /** @param onDeath called when the thread ends without having been stopped. */
  constructor(onDeath: (error: GuardError) => void) {
    this.#onDeath = onDeath;
  }

  /** A port on which another thread may call the hash thread. */
  openPort(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#start().postMessage({ port: port2 } satisfies HashConnect, [port2]);
    return port1;
  }

  /** Hashes a password with bcrypt. The caller checks the password first (identity/password.ts). */
  hash(password: string): Promise<string> {
    this.#calls ??= connect<HashThreadFunctions, object>(this.openPort(), {});
    return this.#calls.hash(password);
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#forget();
    await worker?.terminate();
  }

  #start(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(hashThreadEntry, { name: 'ollama-guard-hash', execArgv: [] });
    worker.on('error', (error) => this.#died(worker, String(error)));
    worker.on('exit', () => this.#died(worker, 'it ended'));
    this.#worker = worker;
    return worker;
  }

  #died(worker: Worker, reason: string): void {
    if (this.#worker !== worker) return;
    this.#calls?.$rejectPendingCalls();
    this.#forget();
    this.#onDeath(new GuardError('thread-died', 'The hash thread died: {reason}.', { args: { reason } }));
  }

  #forget(): void {
    this.#calls?.$close();
    this.#calls = undefined;
    this.#worker = undefined;
  }
}
