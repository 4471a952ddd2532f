/** Drives the probe extension (probe/): things done on the extension host's own thread, and what came of them. */
import { existsSync, readFileSync } from 'node:fs';
import { type EditorWindow, until } from './editor.ts';

/** What the probe wrote down about one thing it did. */
interface ProbeRecord {
  readonly did: 'get' | 'tick' | 'block' | 'lose' | 'folder';
  readonly url?: string;
  readonly status?: number;
  readonly port?: number;
}

/** The probe in one window. */
export class Probe {
  readonly #window: EditorWindow;

  constructor(window: EditorWindow) {
    this.#window = window;
  }

  /** GETs `url` on the host's thread and gives the status, 0 when nothing answered. */
  async get(url: string): Promise<number> {
    const { status } = await this.#do('get', 'Get from the Host Thread', url);
    return status ?? 0;
  }

  /** Starts a server on the host's thread whose answers say something every 10 ms, and gives its address. */
  async tick(): Promise<string> {
    const { port } = await this.#do('tick', 'Tick on the Host Thread');
    return `http://127.0.0.1:${port}`;
  }

  /** Holds the host's thread for that many milliseconds, that many times, and comes back when that is over. */
  async block(times: number, milliseconds: number): Promise<void> {
    await this.#do('block', 'Block the Host Thread', `${times} ${milliseconds}`);
  }

  /** Loses two connections on the host's thread that nobody takes care of: a socket's, and one behind a promise. */
  async loseConnections(): Promise<void> {
    await this.#do('lose', 'Lose Connections on the Host Thread');
  }

  /** The URI of the folder that is open, which VS Code has to take for a virtual one. */
  async virtualFolder(): Promise<string> {
    const { url } = await this.#do('folder', 'Tell the Virtual Folder');
    return url ?? '';
  }

  async #do(what: ProbeRecord['did'], title: string, input?: string): Promise<ProbeRecord> {
    const { workbench } = this.#window;
    const before = this.#records().length;
    await workbench.command(`Probe: ${title}`);
    if (input !== undefined) {
      await workbench.quickInput.getByText(/URL|TIMES/).waitFor();
      await workbench.enter(input);
    }
    return await until(`the probe did ${what}`, () => this.#records()[before]);
  }

  #records(): ProbeRecord[] {
    const file = this.#window.editor.storage('ollama-guard-test.probe', 'probe.jsonl');
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as ProbeRecord);
  }
}
