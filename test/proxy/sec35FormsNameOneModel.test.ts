// SEC-35: `/v1/audio/transcriptions` names its model in a field of a form, and two readers of a form seldom agree: which of
// two fields counts, whether a file is a field, what ends a part. What Ollama gets is written anew from what was read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { changeUser } from '../../src/guard/identity/users.ts';
import { askWithForm, type FormPart, field, file, formBody } from '../support/asks.ts';
import { type FakeOllama, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const users = changeUser(team.users, 'mia', { models: { allow: ['whisper*', 'demo-audio'], deny: ['secret*'] } });
const audio = file('file', 'RIFF\r\n--not-a-boundary\r\n\u0000\u00ff');

/** The form that came last, as another reader reads it. */
function formAt(upstream: FakeOllama): Promise<FormData> {
  const { body, headers } = upstream.requests.at(-1) ?? assert.fail('nothing came');
  const type = headers['content-type'] ?? '';
  return new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData();
}

test('SEC-35: what Ollama gets is the form written anew', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const parts = [
    audio,
    field('model', 'whisper:base'),
    field('language', 'de'),
    field('prompt', 'Gr\u00fc\u00dfe\r\n'),
  ];
  const { status } = await guard.call(askWithForm(team.mia, parts, { path: '/v1/audio/transcriptions?model=secret' }));
  assert.equal(status, 200);
  const { text, target, headers, body } = upstream.requests[0] ?? assert.fail();
  assert.equal(target, '/v1/audio/transcriptions');
  assert.match(headers['content-type'] ?? '', /^multipart\/form-data; boundary=ollama-guard-[0-9a-f]{32}$/);
  assert.equal(headers['content-length'], String(body.length));
  assert.doesNotMatch(text, /a-boundary-of-the-client/);
  const form = await formAt(upstream);
  assert.deepEqual([...form.keys()], ['file', 'model', 'language', 'prompt']);
  assert.deepEqual(form.getAll('model'), ['whisper:base']);
  assert.equal(form.get('prompt'), 'Gr\u00fc\u00dfe\r\n');
  const sent = form.get('file') as File;
  assert.equal(sent.name, 'speech.wav');
  assert.equal(await sent.text(), audio.content);
});

const part = (content: string, ...headers: readonly string[]): FormPart => ({ headers, content });
const named = (rest: string) => `Content-Disposition: form-data; ${rest}`;

const ambiguous: Readonly<Record<string, readonly FormPart[]>> = {
  'no model': [audio],
  'an empty model': [audio, field('model', '')],
  'the model twice': [audio, field('model', 'whisper'), field('model', 'secret')],
  'the same model twice': [audio, field('model', 'whisper'), field('model', 'whisper')],
  'the model in another letter case': [audio, field('Model', 'whisper')],
  'another one in another letter case': [audio, field('model', 'whisper'), field('MODEL', 'secret')],
  'a file as the model': [audio, file('model', 'whisper')],
  'a file as the model beside it': [audio, field('model', 'whisper'), file('model', 'secret')],
  'a file name without a file': [audio, part('whisper', named('name="model"; filename=""'))],
  'a file name in another character set': [audio, part('whisper', named(`name="model"; filename*=utf-8''x`))],
  'two names of one field': [audio, part('whisper', named('name="x"; name="model"'))],
  'an extended name beside the name': [audio, field('model', 'whisper'), part('secret', named(`name*=utf-8''model`))],
  'two dispositions': [audio, part('whisper', named('name="model"'), named('name="x"'))],
  'an encoded field': [audio, part('whisper', named('name="model"'), 'Content-Transfer-Encoding: base64')],
  'a quoted-printable field': [
    audio,
    part('whisper', named('name="model"'), 'Content-Transfer-Encoding: quoted-printable'),
  ],
  'a folded header': [audio, part('whisper', 'Content-Disposition: form-data;\r\n name="model"')],
  'a field that is no form data': [audio, part('whisper', 'Content-Disposition: attachment; name="model"')],
  'a model of bytes that are no text': [audio, part('whisper\u0000', named('name="model"'))],
};

test('SEC-35: a form that does not name exactly one model is refused', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  for (const [what, parts] of Object.entries(ambiguous)) {
    for (const order of [parts, [...parts].reverse()]) {
      assert.equal((await guard.call(askWithForm(team.mia, order))).status, 400, what);
    }
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-35: a form that does not begin, end and part where all agree is refused', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const good = formBody([audio, field('model', 'whisper')]);
  const hidden = formBody([audio, field('model', 'secret')]);
  const bodies = [
    '',
    good.slice(0, -4),
    good.slice(0, good.indexOf('whisper')),
    `preamble\r\n${good}`,
    `${hidden}${good}`,
    `${good}${hidden}`,
    `${good}trailing`,
    good.replaceAll('\r\n', '\n'),
    good.replace('--a-boundary-of-the-client\r\n', '--a-boundary-of-the-client \r\n'),
    good.replace('\r\n--a-boundary-of-the-client--', '\r\n--a-boundary-of-the-clientX--'),
  ];
  for (const body of bodies) {
    const { status } = await guard.call(askWithForm(team.mia, [], { body }));
    assert.equal(status, 400, JSON.stringify(body));
  }
  const types = [
    'application/json',
    'multipart/form-data',
    'multipart/form-data; boundary=',
    'multipart/mixed; boundary=a-boundary-of-the-client',
    'multipart/form-data; boundary=x; boundary=a-boundary-of-the-client',
    'multipart/form-data; boundary=a-boundary-of-the-client; Boundary=x',
    'application/x-www-form-urlencoded',
  ];
  for (const type of types) {
    assert.equal((await guard.call(askWithForm(team.mia, [], { type, body: good }))).status, 415, type);
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-35: the model of a form is held to the rules, in any spelling', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  for (const model of ['secret', 'SECRET:latest', 'library/secret', ' secret', 'llama', 'whisper:cloud']) {
    assert.equal((await guard.call(askWithForm(team.mia, [audio, field('model', model)]))).status, 403, model);
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-35: Ollama transcribes what was allowed', async (t) => {
  const demo = await startDemoOllama();
  t.after(() => demo.stop());
  const guard = await startGuard(t, demo.url, { users });
  const { status, text } = await guard.call(askWithForm(team.mia, [audio, field('model', 'demo-audio')]));
  assert.equal(status, 200);
  assert.match(text, new RegExp(`${Buffer.byteLength(audio.content)} bytes of audio`));
});
