import assert from 'node:assert/strict';
import { type IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { type RefusalCode, refusalBody, refuse } from '../../src/guard/answers.ts';

test('who is to wait for long is told for how long, roughly and rounded up', () => {
  const told = (retryAfter: number, limit = '9 tokens a day') => {
    const { error } = JSON.parse(refusalBody('too-many-tokens', '/api/chat', { ...(limit && { limit }), retryAfter }));
    return error.split('for now. ')[1];
  };
  const wait = 'Wait, then try again. The limit is 9 tokens a day.';
  for (const seconds of [1, 60]) assert.equal(told(seconds), wait);
  assert.equal(told(61), `${wait} There is more in 2 minutes.`);
  assert.equal(told(7_080), `${wait} There is more in 118 minutes.`);
  assert.equal(told(7_200), `${wait} There is more in 2 hours.`);
  assert.equal(told(86_400), `${wait} There is more in 24 hours.`);
  assert.equal(told(86_400, ''), 'Wait, then try again.');
});

test('a refusal has the shape of the dialect', () => {
  const message = 'Ollama is not answering behind this guard. Ask its owner whether Ollama is running.';
  assert.deepEqual(JSON.parse(refusalBody('upstream-down', '/api/chat')), { error: message });
  assert.deepEqual(JSON.parse(refusalBody('upstream-down', '/v1/responses')), {
    error: { message, type: 'api_error', param: null, code: 'upstream-down' },
  });
  assert.deepEqual(JSON.parse(refusalBody('upstream-down', '/v1/messages')), {
    type: 'error',
    error: { type: 'overloaded_error', message },
  });
});

test('types follow the status', () => {
  const typeOf = (code: Parameters<typeof refusalBody>[0], path: string) =>
    JSON.parse(refusalBody(code, path)).error.type;
  const cases = [
    ['bad-request', 'invalid_request_error', 'invalid_request_error'],
    ['unauthenticated', 'authentication_error', 'authentication_error'],
    ['not-permitted', 'permission_error', 'permission_error'],
    ['not-found', 'not_found_error', 'not_found_error'],
    ['body-too-large', 'invalid_request_error', 'request_too_large'],
    ['too-busy', 'rate_limit_error', 'rate_limit_error'],
    ['upstream-failed', 'api_error', 'api_error'],
  ] as const;
  for (const [code, openAi, anthropic] of cases) {
    assert.deepEqual([typeOf(code, '/v1/completions'), typeOf(code, '/v1/messages')], [openAi, anthropic], code);
  }
});

function exchange(): { req: IncomingMessage; res: ServerResponse } {
  const req = new IncomingMessage(new Socket());
  return { req, res: new ServerResponse(req) };
}

test('only a 401 carries a challenge, and Retry-After is whole seconds, one at least', () => {
  const { res } = exchange();
  refuse(res, 'too-busy', '/', { retryAfter: 0.2 });
  assert.equal(res.getHeader('retry-after'), 1);
  assert.equal(res.getHeader('www-authenticate'), undefined);
  const other = exchange().res;
  refuse(other, 'unauthenticated', '/');
  assert.equal(other.getHeader('www-authenticate'), 'Basic realm="Ollama Guard", charset="UTF-8"');
  assert.equal(other.getHeader('cache-control'), 'no-store');
});

test('the ollama command line is told in a refusal that it shows, and everybody else by a 401', () => {
  const told = (headers: IncomingHttpHeaders, code: RefusalCode = 'unauthenticated', path = '/api/tags') => {
    const { req, res } = exchange();
    Object.assign(req.headers, headers);
    let body = '';
    res.end = ((text: string) => {
      body = text;
      return res;
    }) as typeof res.end;
    refuse(res, code, path);
    return { status: res.statusCode, challenge: res.getHeader('www-authenticate'), body };
  };
  const agent = 'ollama/0.33.0 (arm64 darwin) Go/go1.26.0';
  const shown = told({ 'user-agent': agent });
  assert.deepEqual([shown.status, shown.challenge], [403, undefined]);
  assert.match(JSON.parse(shown.body).error, /OLLAMA_AUTH=1 .*~\/\.ollama\/id_ed25519\.pub/);
  assert.deepEqual(told({ 'user-agent': agent, authorization: 'AAAA:BBBB' }), shown);
  assert.match(JSON.parse(told({ 'user-agent': agent }, 'unauthenticated', '/v1/models').body).error.message, /OLLAMA/);

  const plain = told({});
  assert.deepEqual([plain.status, plain.challenge === undefined], [401, false]);
  // A connector passes the User-Agent on, and knows by the 401 that its key has ended.
  assert.deepEqual(told({ 'user-agent': agent, authorization: 'Bearer og_x' }), plain);
  for (const other of ['ollama-python/0.6.0', 'ollama', 'x ollama/1', 'Ollama/1', '']) {
    assert.deepEqual(told({ 'user-agent': other }), plain, other);
  }
  for (const code of ['too-many-failures', 'not-permitted', 'upstream-down'] as const) {
    assert.deepEqual(told({ 'user-agent': agent }, code), told({}, code), code);
  }
});

test('an answer that has begun is left as it is', () => {
  const { res } = exchange();
  res.writeHead(200);
  refuse(res, 'upstream-failed', '/');
  assert.equal(res.statusCode, 200);
  assert.equal(res.writableEnded, false);
});

test('the rest of a refused request is taken off the wire for ten seconds and no longer', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { req, res } = exchange();
  refuse(res, 'body-too-large', '/');
  assert.equal(req.readableFlowing, true);
  t.mock.timers.tick(9_999);
  assert.equal(req.destroyed, false);
  t.mock.timers.tick(1);
  assert.equal(req.destroyed, true);
});
