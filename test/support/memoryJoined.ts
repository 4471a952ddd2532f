import type { Joined } from '../../src/connector/joined.ts';
import type { GuardError } from '../../src/guard/errors.ts';
import type { JoinedStore } from '../../src/windows/joinedKeeper.ts';

/** Joined endpoints that last as long as the test does. */
export class MemoryJoined implements JoinedStore {
  stored: readonly Joined[];
  /** What reading and writing fail with. */
  readFailure: GuardError | undefined;
  writeFailure: GuardError | undefined;

  constructor(stored: readonly Joined[] = []) {
    this.stored = stored;
  }

  async read(): Promise<readonly Joined[]> {
    if (this.readFailure !== undefined) throw this.readFailure;
    return this.stored;
  }

  async write(_before: readonly Joined[], after: readonly Joined[]): Promise<void> {
    if (this.writeFailure !== undefined) throw this.writeFailure;
    this.stored = after;
  }
}
