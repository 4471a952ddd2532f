// CVE-2026-49468 (LiteLLM): `Host: localhost:4000/#@attacker` confused a URL that was built from it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

test('SEC-13: a Host that is not exactly name[:port] is refused', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const confusing = [
    'localhost:4000/#@attacker',
    'localhost/',
    'localhost#',
    'localhost?x',
    'localhost@evil.example',
    'evil.example@localhost',
    'user:pass@localhost',
    'http://localhost',
    '//localhost',
    'localhost:',
    'localhost:http',
    'localhost:99999',
    'localhost:80:80',
    'localhost, evil.example',
    'local host',
    'localhost\\evil.example',
    'localhost%00',
    '[::1',
    '::1',
    '[::1]]',
    '[::1%25eth0]',
    '[localhost]',
    '[127.0.0.1]',
    '',
  ];
  for (const host of confusing) {
    const response = await guard.call({ headers: { host, authorization: team.mia.bearer } });
    assert.ok([400, 403].includes(response.status), `${host}: ${response.status}`);
  }
  assert.equal(upstream.connections, 0);
});
