import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SecretStorage } from 'vscode';
import type { Joined } from '../../../src/connector/joined.ts';
import { GuardError } from '../../../src/guard/errors.ts';
import { SecretJoined } from '../../../src/vscode/secretJoined.ts';
import { FakeSecrets } from '../../support/fakeSecrets.ts';

const indexKey = 'ollamaGuard.joined';
const endpoint = (letter: string, port: number): Joined => ({
  id: letter.repeat(10),
  user: 'mia',
  addresses: ['https://192.0.2.7:11435'],
  ca: '-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n',
  apiKey: `og_${letter.repeat(10)}_${'k'.repeat(43)}`,
  port,
});
const [one, other] = [endpoint('a', 11_436), endpoint('b', 11_437)];

function open() {
  const secrets = new FakeSecrets();
  return { secrets, store: new SecretJoined(secrets as unknown as SecretStorage) };
}

test('what was written is read again; records come before the index, and removals after it', async () => {
  const { secrets, store } = open();
  assert.deepEqual(await store.read(), []);
  await store.write([], [one, other]);
  assert.deepEqual(await store.read(), [one, other]);
  await store.write([one, other], [other]);
  assert.deepEqual(await store.read(), [other]);
  assert.deepEqual(secrets.calls, [
    `store ${indexKey}.${one.id}`,
    `store ${indexKey}.${other.id}`,
    `store ${indexKey}`,
    `store ${indexKey}`,
    `delete ${indexKey}.${one.id}`,
  ]);
  assert.equal(JSON.stringify([...secrets.secrets]).includes(one.apiKey), false);
});

test('a write that stops at any step leaves what was there before, or what comes after', async () => {
  const probe = open();
  await probe.store.write([], [one]);
  await probe.store.write([one], [other]);
  for (let step = 2; step < probe.secrets.calls.length; step += 1) {
    const { secrets, store } = open();
    await store.write([], [one]);
    secrets.fails = (call) => !call.startsWith('get') && secrets.calls.length >= step;
    await assert.rejects(store.write([one], [other]), (error) => GuardError.is(error, 'data-unavailable'));
    const read = await store.read();
    assert.ok([one.id, other.id].includes(read[0]?.id ?? ''), `after step ${step}`);
    assert.equal(read.length, 1);
  }
});

test('what is damaged is an error, and so is a storage that cannot be asked', async () => {
  const damages: readonly (readonly [key: string, value: string | undefined])[] = [
    [indexKey, '{'],
    [indexKey, '{"version":2,"ids":[]}'],
    [`${indexKey}.${one.id}`, undefined],
    [`${indexKey}.${one.id}`, JSON.stringify({ ...one, more: 1 })],
    [`${indexKey}.${one.id}`, JSON.stringify({ ...one, port: -1 })],
  ];
  for (const [key, value] of damages) {
    const { secrets, store } = open();
    await store.write([], [one]);
    if (value === undefined) secrets.secrets.delete(key);
    else secrets.secrets.set(key, value);
    await assert.rejects(store.read(), (error) => GuardError.is(error, 'data-damaged'), `${key} ${value}`);
  }
  const { secrets, store } = open();
  secrets.fails = () => true;
  await assert.rejects(store.read(), (error) => GuardError.is(error, 'data-unavailable'));
  await assert.rejects(store.write([], [one]), (error) => GuardError.is(error, 'data-unavailable'));
});
