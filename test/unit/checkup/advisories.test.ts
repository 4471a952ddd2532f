import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { advisories, lackingFixes } from '../../../src/checkup/advisories.ts';

const idsOf = (version: string) => lackingFixes(version)?.map(({ id }) => id);
const all = advisories.map(({ id }) => id);

it('a version lacks the fixes of newer ones', () => {
  assert.deepEqual(idsOf('0.1.28'), all);
  assert.deepEqual(idsOf('0.1.29'), all.slice(1));
  assert.deepEqual(idsOf('0.14.3'), ['CVE-2026-7482']);
  assert.deepEqual(idsOf('0.9.6'), ['CVE-2025-51471', 'CVE-2026-7482']);
  assert.deepEqual(idsOf('0.17.1'), []);
  assert.deepEqual(idsOf('v1.0.0'), []);
});

it('a candidate comes before its release, a build after it', () => {
  assert.deepEqual(idsOf('0.17.1-rc1'), ['CVE-2026-7482']);
  assert.deepEqual(idsOf('0.17.1-ci0'), ['CVE-2026-7482']);
  assert.deepEqual(idsOf('0.33.0-rc2'), []);
  assert.deepEqual(idsOf('0.17.1-4-ga420a45'), []);
  assert.deepEqual(idsOf('0.17.0-4-ga420a45-dirty'), ['CVE-2026-7482']);
});

it('a build without a version tells nothing', () => {
  for (const version of ['0.0.0', '0.0.0-demo', '', 'latest', '0.17', '0.17.1.2', '1'.repeat(30)]) {
    assert.equal(lackingFixes(version), undefined, version);
  }
});

it('the newest fix is last, so that it is the version to update to', () => {
  for (const [index, { fixedIn }] of advisories.entries()) {
    const lacking = idsOf(fixedIn) ?? [];
    assert.deepEqual(lacking, all.slice(all.length - lacking.length));
    assert.ok(!lacking.includes(all[index] ?? ''));
  }
});

it('the page lists every one with its version', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/check.md'), 'utf8');
  const rows = [...page.matchAll(/^\| (CVE-\S+) \| (\S+) \|/gm)].map(([, id, fixedIn]) => ({ id, fixedIn }));
  assert.deepEqual(rows, advisories);
});
