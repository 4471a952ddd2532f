import type { TestContext } from 'node:test';
import type { Certificate } from '../../../src/guard/tls/certificate.ts';
import type { SourcePorts } from '../../../src/guard/tls/source.ts';
import { createMemoryVault, type Vault } from '../../../src/guard/tls/vault.ts';
import { Signal } from '../../support/signal.ts';

/** What a source works with, and everything it tells; its clock stands still unless a test sets it. */
export class SourceWitness {
  readonly certificates: Certificate[] = [];
  /** In words, or none. */
  readonly problems: (string | undefined)[] = [];
  readonly vault: Vault;
  readonly allowedHosts: readonly string[];
  now = Date.now();

  constructor(vault: Vault = createMemoryVault(), allowedHosts: readonly string[] = []) {
    this.vault = vault;
    this.allowedHosts = allowedHosts;
  }

  get ports(): SourcePorts {
    return {
      vault: this.vault,
      allowedHosts: this.allowedHosts,
      challenges: { onAlpn: undefined },
      onCertificate: (certificate) => this.certificates.push(certificate),
      onProblem: (problem) => this.problems.push(problem?.text),
      now: () => this.now,
    };
  }
}

type Look = () => void;

/** Takes the place of the clock that makes sources look again: a test says when they do. One of it a test. */
export class Looks {
  #due: Look[] = [];
  readonly #changed = new Signal();

  constructor(t: TestContext) {
    const { setTimeout, clearTimeout } = globalThis;
    t.mock.method(globalThis, 'setTimeout', (look: Look, ms?: number, ...args: readonly unknown[]) => {
      if (ms !== 2_000) return setTimeout(look, ms, ...(args as []));
      const timer = { look, unref: () => timer };
      this.#due.push(look);
      this.#changed.notify();
      return timer;
    });
    t.mock.method(globalThis, 'clearTimeout', (timer: NodeJS.Timeout & { readonly look?: Look }) => {
      this.#due = this.#due.filter((look) => look !== timer.look);
      if (timer.look === undefined) clearTimeout(timer);
    });
  }

  /** How many sources are going to look. */
  get due(): number {
    return this.#due.length;
  }

  /** Begins the look of the source that has waited for longest. */
  begin(): void {
    const look = this.#due.shift();
    if (look === undefined) throw new Error('nobody is going to look');
    look();
  }

  /** That look from beginning to end. */
  async next(): Promise<void> {
    const due = this.#due.length;
    this.begin();
    await this.#changed.until(() => this.#due.length === due || undefined);
  }
}
