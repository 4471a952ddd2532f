import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Bench, Measurement, Row } from '../row.ts';
import { number } from '../stats.ts';

/** What a developer downloads, and what the editor loads when it starts. */
export const sizes: Row = {
  name: 'sizes',
  title: '`dist/extension.js` minified; vsix',
  method: 'Sizes of the files as built. kB is 1,000 bytes.',
  budgets: [
    { name: 'extension', what: '`dist/extension.js`', sense: 'below', limit: 150, unit: 'kB' },
    { name: 'vsix', what: '`ollama-guard.vsix`', sense: 'below', limit: 1000, unit: 'kB' },
  ],
  measure,
};

const files = {
  extension: 'dist/extension.js',
  'guard thread': 'dist/guardThread.js',
  'hash thread': 'dist/hashThread.js',
  'command line': 'dist/cli.js',
  vsix: 'ollama-guard.vsix',
} as const;

async function measure(_bench: Bench): Promise<Measurement> {
  const found: [string, string, number, number][] = [];
  for (const [name, path] of Object.entries(files)) {
    const file = await stat(fileURLToPath(new URL(`../../${path}`, import.meta.url))).catch(() => undefined);
    if (file !== undefined) found.push([name, path, file.size / 1000, file.mtimeMs]);
  }
  const one = (wanted: string): number[] => found.filter(([name]) => name === wanted).map(([, , size]) => size);
  const [vsix, extension] = ['vsix', 'extension'].map((wanted) => found.find(([name]) => name === wanted)?.[3]);
  const notes = [];
  if (vsix === undefined) notes.push('There is no `ollama-guard.vsix`: `npm run package` makes it.');
  else if (extension !== undefined && vsix < extension - 600_000) notes.push('The vsix is older than the build.');
  return {
    samples: { extension: one('extension'), vsix: one('vsix') },
    tables: [{ head: ['file', 'kB'], lines: found.map(([, path, size]) => [path, number(size)]) }],
    notes,
  };
}
