import { commands } from 'vscode';

/** Sets context keys; what has not changed is left alone. */
export class ContextKeys {
  readonly #set = new Map<string, string | boolean>();

  set(key: string, value: string | boolean): void {
    if (this.#set.get(key) === value) return;
    this.#set.set(key, value);
    void commands.executeCommand('setContext', key, value);
  }
}
