// SEC-38: Go stops reading at the end of the first JSON value, others take the last one or join both.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changeUser } from '../../src/guard/identity/users.ts';
import { routes } from '../../src/guard/routes.ts';
import { ask, pathOf } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { chunk } from '../support/http1.ts';
import { team } from '../support/people.ts';

const users = changeUser(team.users, 'adam', { models: { deny: ['secret*'] } });
const withBody = routes.filter(({ body, needs }) => body === 'json' && needs !== 'denied');
const good = '{"model":"llama","source":"llama","destination":"llama2"}';
const hidden = good.replaceAll('llama', 'secret');

test('SEC-38: a body that is anything but one JSON object is 400 on every route', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const bodies = [
    `${good}${good}`,
    `${good}${hidden}`,
    `${good}\n${hidden}`,
    `${hidden}${good}`,
    ...['}', ']', ',', 'x', '0', '""', 'null', '//', '/* */', '\u0000', '\u00a0', '\ufeff', '\u001e'].map(
      (end) => `${good}${end}`,
    ),
    `\ufeff${good}`,
    `\u001e${good}`,
    `[${good}]`,
    `"${good.replaceAll('"', '\\"')}"`,
    good.slice(0, -1),
    good.replace('}', ',}'),
    good.replaceAll('"', "'"),
    good.replace('{', '{/* */'),
    '',
    ' ',
    'null',
    '[]',
    '1',
  ];
  for (const route of withBody) {
    for (const body of bodies) {
      const { status } = await guard.call(ask(team.adam, pathOf(route), body, route.method));
      assert.equal(status, 400, `${pathOf(route)} ${JSON.stringify(body)}`);
    }
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-38: the same in chunks, and white space is no data', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const send = (...parts: readonly string[]) => {
    const headers = { authorization: team.adam.bearer, 'transfer-encoding': 'chunked' };
    const body = Buffer.concat([...parts.map(chunk), Buffer.from('0\r\n\r\n')]);
    return guard.call({ method: 'POST', path: '/api/chat', headers, body });
  };
  assert.equal((await send(good, hidden)).status, 400);
  assert.equal((await send(good, '\n', '{')).status, 400);
  assert.equal(upstream.connections, 0);
  assert.equal((await send('\n', good.slice(0, 9), good.slice(9), ' ', '\r\n\t')).status, 200);
  assert.equal(upstream.requests[0]?.text, `\n${good} \r\n\t`);
});
