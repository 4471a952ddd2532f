/** What is in the bundles that ship, and what must not be. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { build, type Metafile } from 'esbuild';
import { bundles } from '../../esbuild.mjs';

const root = join(import.meta.dirname, '..', '..');

interface Built {
  readonly entry: string;
  /** Of what is loaded at once: the entry and what it imports, not what it imports later. */
  readonly eagerBytes: number;
  /** Files that are in the bundle. */
  readonly inputs: readonly string[];
  /** Modules that are left outside. */
  readonly imports: readonly string[];
}

const built: readonly Built[] = await Promise.all(
  bundles.map(async (options): Promise<Built> => {
    const result = await build({ ...options, absWorkingDir: root, write: false, metafile: true });
    const outputs = Object.values(result.metafile.outputs);
    const entry = String((options.entryPoints as readonly string[])[0]);
    return {
      entry,
      eagerBytes: eagerBytes(result.metafile, entry),
      inputs: Object.keys(result.metafile.inputs),
      imports: outputs.flatMap((output) => output.imports.filter(({ external }) => external).map(({ path }) => path)),
    };
  }),
);
/** The bytes of an entry and of every file that it imports statically, and those in turn. */
function eagerBytes({ outputs }: Metafile, entry: string): number {
  const loaded = new Set<string>();
  const load = (path: string | undefined): void => {
    if (path === undefined || loaded.has(path)) return;
    loaded.add(path);
    const imports = outputs[path]?.imports ?? [];
    for (const { path: next, kind, external } of imports) if (kind === 'import-statement' && !external) load(next);
  };
  load(Object.keys(outputs).find((path) => outputs[path]?.entryPoint === entry));
  return [...loaded].reduce((sum, path) => sum + (outputs[path]?.bytes ?? 0), 0);
}

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

  it('makes certificates only where somebody needs one, and never beside the user interface', () => {
    const guard = bundle('src/threads/guardThread.ts');
    assert.ok(holds(guard, '@peculiar/x509/') && holds(guard, 'acme-client/'));
    assert.ok(guard.eagerBytes < 320_000, `${guard.eagerBytes}`);
    for (const part of ['@peculiar/x509/', 'acme-client/'])
      assert.equal(holds(bundle('src/extension.ts'), part), false);
    for (const { entry, inputs } of built) {
      assert.equal(
        inputs.some((input) => /node_modules\/(node-forge|mime-db)\//.test(input)),
        false,
        entry,
      );
    }
  });

  it('keeps what VS Code loads at start under its budget of 150 kB', () => {
    assert.ok(bundle('src/extension.ts').eagerBytes < 150_000);
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
    const places = ['guard/x', 'threads/x', 'windows/x', 'checkup/x', 'connector/x', 'cli/x', 'cli', 'demo/x'];
    for (const place of places.map((name) => `src/${name}.ts`)) {
      assert.equal(refused(place), true, place);
    }
    assert.equal(refused('src/vscode/x.ts'), false);
  });
});
