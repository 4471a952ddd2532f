// CVE-2026-29057, https://github.com/http-party/node-http-proxy/issues/1721: the body of a chunked DELETE or OPTIONS is
// sent behind `content-length: 0`, and with a kept-alive connection Ollama executes it as a request.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, askWithForm, field, file, formBody, get } from '../support/asks.ts';
import { asSent, blobPath } from '../support/bodies.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { chunk } from '../support/http1.ts';
import { team } from '../support/people.ts';
import { RawClient, type RawRequest } from '../support/rawClient.ts';

const payload = 'GET /api/smuggled HTTP/1.1\r\nHost: x\r\n\r\n';

/** What Ollama may get of it: the one body that flows by unread. */
const flows = (method: string, path: string) => method === 'POST' && path === blobPath;

for (const connection of upstreamConnections) {
  for (const method of ['DELETE', 'OPTIONS', 'GET', 'HEAD', 'POST', 'PATCH', 'SEARCH']) {
    for (const path of ['/api/delete', '/api/tags', '/api/chat', '/', blobPath]) {
      test(`P7: a request inside a chunked ${method} ${path} stays a body (${connection} connection)`, async (t) => {
        const upstream = await startFakeOllama(t);
        const guard = await startGuard(t, upstream);
        const before = await warm(guard, upstream, connection);
        const client = await RawClient.open(t, guard.port);
        const headers = { authorization: team.adam.bearer, 'transfer-encoding': 'chunked' };
        client.send({ method, path, headers });
        client.send(Buffer.concat([chunk(payload), Buffer.from('0\r\n\r\n')]));
        await client.response({ head: method === 'HEAD' });
        // One more exchange over the same connection to Ollama would bring a smuggled request to light.
        await guard.call(get(team.adam, '/api/ps'));

        const seen = upstream.requests.slice(before);
        assert.deepEqual(
          seen.map(({ target, text }) => [target, text]),
          [...(flows(method, path) ? [[path, payload]] : []), ['/api/ps', '']],
        );
      });
    }
  }

  const json = `{\r\n"model":"demo"}\r\n\r\n`;
  const form = formBody([file('file', payload), field('model', 'demo')]);
  const checked: Readonly<Record<string, readonly [RawRequest, string]>> = {
    'a DELETE': [ask(team.adam, '/api/delete', json, 'DELETE'), json],
    'a POST': [ask(team.adam, '/api/chat', json), json],
    'a form': [askWithForm(team.adam, [], { body: form }), form],
  };
  for (const [what, [request, body]] of Object.entries(checked)) {
    test(`P7: lines inside ${what} in chunks that was checked stay a body (${connection} connection)`, async (t) => {
      const upstream = await startFakeOllama(t);
      const guard = await startGuard(t, upstream);
      const before = await warm(guard, upstream, connection);
      const headers = { ...request.headers, 'transfer-encoding': 'chunked' };
      const at = body.indexOf('\r\n') + 1;
      const chunks = [chunk(body.slice(0, at)), chunk(body.slice(at)), Buffer.from('0\r\n\r\n')];
      assert.equal((await guard.call({ ...request, headers, body: Buffer.concat(chunks) })).status, 200);
      await guard.call(get(team.adam, '/api/ps'));

      const seen = upstream.requests.slice(before);
      assert.deepEqual(
        seen.map(({ target, text }) => [target, asSent(text)]),
        [
          [request.path, body],
          ['/api/ps', ''],
        ],
      );
      assert.equal(seen[0]?.headers['content-length'], `${seen[0]?.text.length}`);
      assert.equal(seen[0]?.headers['transfer-encoding'], undefined);
    });
  }
}

test('P7: a request behind a body that is checked, and still inside its length, is refused with it', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  for (const [method, path] of [
    ['DELETE', '/api/delete'],
    ['POST', '/api/chat'],
  ] as const) {
    assert.equal((await guard.call(ask(team.adam, path, `{"model":"demo"}\r\n\r\n${payload}`, method))).status, 400);
  }
  assert.equal(upstream.connections, 0);
});

test('P7: a chunked OPTIONS, even of a configured origin, is refused by the guard', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { allowedOrigins: ['https://chat.example.org'] } });
  const client = await RawClient.open(t, guard.port);
  client.send({
    method: 'OPTIONS',
    path: '/api/delete',
    headers: {
      origin: 'https://chat.example.org',
      'access-control-request-method': 'DELETE',
      'transfer-encoding': 'chunked',
    },
  });
  client.send(Buffer.concat([chunk(payload), Buffer.from('0\r\n\r\n')]));
  assert.equal((await client.response()).status, 400);
  assert.equal(upstream.connections, 0);
});
