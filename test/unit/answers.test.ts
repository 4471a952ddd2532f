import assert from 'node:assert/strict';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { refusalBody, refuse } from '../../src/guard/answers.ts';

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
