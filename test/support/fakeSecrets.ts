import type { SecretStorage } from 'vscode';

/** VS Code's SecretStorage on a map. */
export class FakeSecrets implements Pick<SecretStorage, 'get' | 'store' | 'delete'> {
  readonly secrets = new Map<string, string>();
  readonly calls: string[] = [];
  fails: (call: string) => boolean = () => false;

  async get(key: string): Promise<string | undefined> {
    this.#call(`get ${key}`);
    return this.secrets.get(key);
  }

  async store(key: string, value: string): Promise<void> {
    this.#call(`store ${key}`);
    this.secrets.set(key, value);
  }

  async delete(key: string): Promise<void> {
    this.#call(`delete ${key}`);
    this.secrets.delete(key);
  }

  #call(call: string): void {
    if (this.fails(call)) throw new Error('the keyring fails');
    if (!call.startsWith('get')) this.calls.push(call);
  }
}
