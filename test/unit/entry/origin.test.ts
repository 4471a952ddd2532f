import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isForeignPage } from '../../../src/guard/entry/origin.ts';

const allowed = new Set(['https://chat.example.org']);

test('no page at all is no foreign page', () => {
  assert.equal(isForeignPage({}, allowed), false);
});

test('an Origin decides, and Sec-Fetch-Site when there is none', () => {
  assert.equal(isForeignPage({ origin: 'https://chat.example.org', 'sec-fetch-site': 'cross-site' }, allowed), false);
  assert.equal(isForeignPage({ origin: 'https://evil.example', 'sec-fetch-site': 'none' }, allowed), true);
  assert.equal(isForeignPage({ origin: 'null' }, allowed), true);
  assert.equal(isForeignPage({ origin: '' }, allowed), true);
  assert.equal(isForeignPage({ 'sec-fetch-site': 'cross-site' }, allowed), true);
  assert.equal(isForeignPage({ 'sec-fetch-site': 'same-site' }, allowed), true);
  assert.equal(isForeignPage({ 'sec-fetch-site': 'same-origin' }, allowed), false);
});
