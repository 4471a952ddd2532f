import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalPath } from '../../../src/guard/entry/target.ts';
import { routes } from '../../../src/guard/routes.ts';

test('the literal paths of the surface are canonical', () => {
  for (const { path } of routes) if (typeof path === 'string') assert.equal(canonicalPath(path), path);
});

test('the query is dropped', () => {
  assert.equal(canonicalPath('/api/tags?a=/../b'), '/api/tags');
  assert.equal(canonicalPath('/?'), '/');
});

test('dots inside a segment are part of a name', () => {
  for (const path of ['/v1/models/llama3.2', '/v1/models/..x', '/v1/models/x..', '/a/...', '/a/.b']) {
    assert.equal(canonicalPath(path), path);
  }
});

const targets = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({
    unit: fc.constantFrom('/', '.', '%', '2', 'f', 'e', '\\', ';', '#', '?', 'a', ':', '@', '\0', ' ', 'é'),
  }),
  fc.webUrl({ withQueryParameters: true, withFragments: true }),
  fc.array(fc.constantFrom('api', 'tags', '..', '.', '', '%70ull', 'a;b')).map((segments) => `/${segments.join('/')}`),
);

test('what is canonical reads the same to every router: decoding, URL parsing and joining change nothing', () => {
  fc.assert(
    fc.property(targets, (target) => {
      const path = canonicalPath(target);
      if (path === undefined) return;
      assert.ok(target === path || target.startsWith(`${path}?`));
      assert.equal(decodeURIComponent(path), path);
      assert.equal(new URL(path, 'http://guard').pathname, path);
      assert.equal(new URL(path, 'http://guard').host, 'guard');
      assert.equal(path.replace(/\/+/g, '/'), path);
      assert.equal(canonicalPath(path), path);
    }),
    { numRuns: 2_000 },
  );
});
