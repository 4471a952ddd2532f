import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromiumPath, nodePath, SetupError, setup } from '../../test/e2e/setup.ts';
import { ask } from '../ask.ts';
import { alternate, column } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { ratios, spread } from '../stats.ts';

/** What the extension takes from every start of VS Code, whether the guard runs or not. */
export const activation: Row = {
  name: 'activation',
  title: 'Activation in VS Code',
  method:
    'The packaged extension in the real VS Code of the end-to-end tests, on both cores. Every round reloads the window, ' +
    'which starts a new extension host, and reads “Developer: Show Running Extensions”: loading the code and ' +
    '`activate()`. VS Code activates several extensions at once on one thread, so times depend on the machine and on ' +
    'each other; the built-in Merge Conflict, which starts at the same event, is there for scale. No budget.',
  budgets: [],
  measure,
};

/** By the names of the extensions: ours, and one that is part of every VS Code and activates `onStartupFinished` too. */
const extensions = { guard: 'ollama-guard', scale: 'merge-conflict' } as const;

const vsix = fileURLToPath(new URL('../../ollama-guard.vsix', import.meta.url));

async function measure(bench: Bench): Promise<Measurement> {
  const obstacle = prepare(bench);
  if (obstacle !== undefined) {
    bench.say(`  not measured: ${obstacle}`);
    return { samples: {}, tables: [], notes: [`**Not measured:** ${obstacle}`] };
  }
  const editor = startEditor(bench);
  try {
    await ask(editor, 'ready');
    const samples = await alternate(
      bench,
      bench.quick ? 1 : 5,
      ['guard'],
      async () => {
        const [guard, scale] = await Promise.all([
          ask(editor, extensions.guard, 'measure'),
          ask(editor, extensions.scale),
        ]);
        return { guard, scale };
      },
      ({ guard, scale }) => `${guard} ms, Merge Conflict ${scale} ms`,
    );
    const guard = column(samples, 'guard', (sample) => sample.guard);
    const scale = column(samples, 'guard', (sample) => sample.scale);
    return {
      samples: {},
      tables: [
        {
          head: ['', 'activation ms', '× Merge Conflict'],
          lines: [
            ['Ollama Guard', spread(guard), spread(ratios(guard, scale))],
            ['Merge Conflict', spread(scale), '1'],
          ],
        },
      ],
      notes: [],
    };
  } finally {
    editor.end();
  }
}

/** Installs what is missing where that is allowed; says what is in the way. */
function prepare({ install }: Bench): string | undefined {
  if (!existsSync(vsix)) return 'there is no `ollama-guard.vsix`; `npm run package` makes it.';
  if (!install && !(existsSync(nodePath) && existsSync(chromiumPath))) {
    return 'VS Code and Chromium are not installed; `node test/e2e/setup.ts` does it.';
  }
  try {
    setup();
    return undefined;
  } catch (error) {
    if (error instanceof SetupError) return error.message;
    throw error;
  }
}

/**
 * Not one of the bench's own processes, which are killed with all they started: this one ends when its channel closes,
 * as it does when the bench ends in whatever way, and takes the editor and the browser along.
 */
function startEditor({ machine, signal }: Bench) {
  const script = fileURLToPath(new URL('../../test/e2e/activation.ts', import.meta.url));
  const command = [process.execPath, script, ...Object.values(extensions)];
  const { proxyCore, loadCore } = machine;
  const pinned = proxyCore === undefined ? [] : ['taskset', '-c', `${proxyCore},${loadCore}`];
  const [file = process.execPath, ...args] = [...pinned, ...command];
  const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] });
  let errors = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors = `${errors}${text}`.slice(-600);
  });
  const end = (): void => {
    if (child.connected) child.disconnect();
  };
  signal.addEventListener('abort', end, { once: true });
  return { child, complaint: () => errors.trim(), end };
}
