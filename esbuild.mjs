// Bundles what ships into dist/: the extension, its threads, the join page and the command line. `--watch` rebuilds on change.
import { readdir, readFile, rm } from 'node:fs/promises';
import { build, context } from 'esbuild';

/**
 * http-proxy 1.18.1 calls `util._extend`, which Node 22 and later announce as deprecated (DEP0060) in every process
 * that loads it. Replaced at bundle time, so that nobody's `util` is patched at run time.
 * https://github.com/http-party/node-http-proxy/issues/1715
 *
 * It also loads follow-redirects for an option that is never set here; left out, with its advisories.
 */
const httpProxyFixes = {
  name: 'http-proxy-fixes',
  /** @param {import('esbuild').PluginBuild} pluginBuild */
  setup(pluginBuild) {
    pluginBuild.onLoad({ filter: /http-proxy[\\/]lib[\\/].*\.js$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      return { contents: source.replace(/require\((['"])util\1\)\._extend/g, 'Object.assign'), loader: 'js' };
    });
    pluginBuild.onResolve({ filter: /^follow-redirects$/ }, ({ path }) => ({ path, namespace: 'left-out' }));
    pluginBuild.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'module.exports = {};' }));
  },
};

/**
 * acme-client carries a second, older implementation of its cryptography, and axios what it takes to send forms; both
 * are loaded and never used here, and are larger than everything else. `debug` looks for colours.
 */
const acmeClientParts = {
  name: 'acme-client-parts',
  /** @param {import('esbuild').PluginBuild} pluginBuild */
  setup(pluginBuild) {
    const leftOut = /^(\.\/crypto\/forge|mime-db|form-data|follow-redirects|supports-color)$/;
    pluginBuild.onResolve({ filter: leftOut }, ({ path }) => ({ path, namespace: 'left-out' }));
    pluginBuild.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'module.exports = {};' }));
  },
};

/** CommonJS packages inside an ES module bundle still use what CommonJS gives them. */
const commonJsBanner = [
  "import { createRequire as __createRequire } from 'node:module';",
  'const require = __createRequire(import.meta.url), __filename = import.meta.filename;',
].join('');

/** @type {import('esbuild').BuildOptions} */
const common = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node22',
  minify: !process.argv.includes('--watch'),
  sourcemap: process.argv.includes('--watch'),
  outdir: 'dist',
  logLevel: 'warning',
  metafile: true,
};

/**
 * What ships, each bundled alone so that the extension's eager part stays small.
 * @type {import('esbuild').BuildOptions[]}
 */
export const bundles = [
  // Split, so that what a command needs is loaded when somebody calls it.
  {
    ...common,
    entryPoints: ['src/extension.ts'],
    external: ['vscode'],
    splitting: true,
    chunkNames: 'extension-[name]-[hash]',
    banner: { js: commonJsBanner },
  },
  // Split, so that what makes certificates is loaded by guards that make some.
  {
    ...common,
    entryPoints: ['src/threads/guardThread.ts'],
    splitting: true,
    chunkNames: 'guard-[name]-[hash]',
    banner: { js: commonJsBanner },
    plugins: [httpProxyFixes, acmeClientParts],
  },
  {
    ...common,
    entryPoints: ['src/threads/connectorThread.ts'],
    banner: { js: commonJsBanner },
    plugins: [httpProxyFixes],
  },
  { ...common, entryPoints: ['src/threads/hashThread.ts'] },
  // Split, so that dist/cli.js can look at Node's version before it loads the rest.
  {
    ...common,
    entryPoints: ['src/cli.ts'],
    splitting: true,
    chunkNames: 'cli-[name]-[hash]',
    banner: { js: commonJsBanner },
    plugins: [acmeClientParts],
  },
  // The page that invited people see, for browsers.
  {
    ...common,
    platform: 'browser',
    target: 'es2022',
    format: 'iife',
    entryPoints: ['src/guard/join/join.html', 'src/guard/join/join.css', 'src/guard/join/join.js'],
    loader: { '.html': 'copy' },
  },
];

if (import.meta.main ?? process.argv[1]?.endsWith('esbuild.mjs')) {
  if (process.argv.includes('--watch')) {
    await Promise.all(bundles.map(async (options) => (await context(options)).watch()));
  } else {
    const results = await Promise.all(bundles.map((options) => build(options)));
    const made = new Set(results.flatMap(({ metafile }) => Object.keys(metafile.outputs)));
    // What an earlier build left would be packaged too.
    for (const name of await readdir('dist')) if (!made.has(`dist/${name}`)) await rm(`dist/${name}`);
  }
}
