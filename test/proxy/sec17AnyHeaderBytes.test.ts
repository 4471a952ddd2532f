// SEC-17: `timingSafeEqual` on buffers of unequal length crashed a process on a non-ASCII header. SEC-43: a token that is
// looked up before its form is checked.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { basic, team, withPerson } from '../support/people.ts';

const anyByte = String.fromCharCode(
  ...Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => byte > 31 && byte !== 127),
);
const base64 = (text: string) => Buffer.from(text, 'latin1').toString('base64');

const odd = [
  `Bearer ${anyByte}`,
  `Bearer og_${'é'.repeat(10)}_${'é'.repeat(43)}`,
  `Bearer ${team.mia.key.slice(0, -1)}é`,
  `Bearer ${team.mia.key}é`,
  `Bearer ${team.mia.key} `.repeat(2),
  `Bearer og_${'a'.repeat(10)}_${'A'.repeat(43)}`,
  `Bearer ${'x'.repeat(10_000)}`,
  "Bearer ' OR '1'='1",
  'Bearer __proto__',
  'Bearer og_constructor_x',
  `Basic ${anyByte}`,
  `Basic ${base64(anyByte)}`,
  `Basic ${base64('mia')}`,
  `Basic ${base64('mia\0:x')}`,
  `Basic ${base64('__proto__:x')}`,
  `Basic ${base64('constructor:x')}`,
  `Basic ${base64(`mia:${'é'.repeat(1_000)}`)}`,
  `Basic ${base64(`${'x'.repeat(5_000)}:x`)}`,
  'Basic ====',
  'Basic',
  'Digest username="mia"',
  'Negotiate abc',
  anyByte,
  `${base64('ssh')}:${base64('signature')}`,
];

for (const authorization of odd) {
  test(`SEC-17: survives ${JSON.stringify(authorization.slice(0, 40))}`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    assert.equal((await guard.call({ headers: { authorization } })).status, 401);
    assert.equal((await guard.call({ headers: { 'x-api-key': authorization } })).status, 401);
    assert.equal((await guard.call({ headers: { authorization: team.mia.bearer } })).status, 200);
    assert.equal(upstream.requests.length, 1);
  });
}

test('SEC-17: a password with NUL and non-ASCII characters is a password', async (t) => {
  const password = 'p\0ä€😀:"\\';
  const { users, person } = withPerson([], 'zoe', 'viewer', password);
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  assert.equal((await guard.call({ headers: { authorization: person.basic } })).status, 200);
  assert.equal((await guard.call({ headers: { authorization: basic('zoe', 'p') } })).status, 401);
});
