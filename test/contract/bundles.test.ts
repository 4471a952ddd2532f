/** What is in the bundles that ship, and what must not be. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { build } from 'esbuild';
import { bundles } from '../../esbuild.mjs';

const root = join(import.meta.dirname, '..', '..');

interface Built {
  readonly entry: string;
  readonly bytes: number;
  /** Files that are in the bundle. */
  readonly inputs: readonly string[];
  /** Modules that are left outside. */
  readonly imports: readonly string[];
}

const built: readonly Built[] = await Promise.all(
  bundles.map(async (options): Promise<Built> => {
    const result = await build({ ...options, absWorkingDir: root, write: false, metafile: true });
    const outputs = Object.values(result.metafile.outputs);
    return {
      entry: String((options.entryPoints as readonly string[])[0]),
      bytes: outputs.reduce((sum, output) => sum + output.bytes, 0),
      inputs: Object.keys(result.metafile.inputs),
      imports: outputs.flatMap((output) => output.imports.filter(({ external }) => external).map(({ path }) => path)),
    };
  }),
);
const bundle = (entry: string): Built => {
  const found = built.find((candidate) => candidate.entry === entry);
  assert.ok(found, entry);
  return found;
};
const holds = ({ inputs }: Built, part: string): boolean => inputs.some((input) => input.includes(part));

describe('the bundle graph', () => {
  it('keeps vscode out of everything but the extension', () => {
    for (const { entry, imports, inputs } of built) {
      const isExtension = entry === 'src/extension.ts';
      assert.equal(imports.includes('vscode'), isExtension, entry);
      assert.equal(
        inputs.some((input) => input.startsWith('src/vscode/')),
        isExtension,
        entry,
      );
    }
  });

  it('leaves nothing outside but Node and vscode', () => {
    for (const { entry, imports } of built) {
      for (const path of imports) {
        const builtIn = path === 'vscode' || process.getBuiltinModule(path.replace(/^node:/, '')) !== undefined;
        assert.ok(builtIn, `${entry} imports ${path}`);
      }
    }
  });

  it("keeps forwarding and hashing off the extension's thread", () => {
    const extension = bundle('src/extension.ts');
    for (const part of ['http-proxy/', 'bcryptjs/', 'src/guard/forward/forward.ts', 'src/demo/']) {
      assert.equal(holds(extension, part), false, part);
    }
    assert.equal(holds(bundle('src/threads/guardThread.ts'), 'bcryptjs/'), false);
  });

  it('keeps the extension under its budget of 150 kB', () => {
    assert.ok(bundle('src/extension.ts').bytes < 150_000);
  });
});

describe('the source', () => {
  it('touches http-proxy in one file', () => {
    const files = globSync('src/**/*.ts', { cwd: root }).filter((file) =>
      /from 'http-proxy'/.test(readFileSync(join(root, file), 'utf8')),
    );
    assert.deepEqual(files, [join('src', 'guard', 'forward', 'forward.ts')]);
  });

  it('cannot import vscode where the guard runs without it: the linter refuses', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'ollama-guard-lint-'));
    t.after(() => rmSync(folder, { recursive: true }));
    copyFileSync(join(root, 'biome.json'), join(folder, 'biome.json'));
    const refused = (place: string): boolean => {
      mkdirSync(join(folder, place, '..'), { recursive: true });
      writeFileSync(join(folder, place), "import { window } from 'vscode';\n\nwindow.showInformationMessage('x');\n");
      const biome = join(root, 'node_modules', '.bin', 'biome');
      const { stdout, stderr } = spawnSync(biome, ['lint', '--vcs-enabled=false', place], {
        cwd: folder,
        encoding: 'utf8',
      });
      return `${stdout}${stderr}`.includes('noRestrictedImports');
    };
    const places = ['guard/x', 'threads/x', 'windows/x', 'checkup/x', 'cli/x', 'cli', 'demo/x'];
    for (const place of places.map((name) => `src/${name}.ts`)) {
      assert.equal(refused(place), true, place);
    }
    assert.equal(refused('src/vscode/x.ts'), false);
  });
});
