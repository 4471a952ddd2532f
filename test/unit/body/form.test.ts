import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readForm } from '../../../src/guard/body/form.ts';
import { MultipartReader } from '../../../src/guard/body/multipart.ts';
import { MiB } from '../../../src/guard/config.ts';
import { RawClient, type RawResponse, request } from '../../support/rawClient.ts';
import { inPieces, pieces } from '../usage/pieces.ts';
import { type BodyServer, startBodyServer } from './server.ts';

const disposition = (parameters: string) => `Content-Disposition: form-data; ${parameters}`;
const field = (name: string, text: string) => `${disposition(`name="${name}"`)}\r\n\r\n${text}`;
const file = `${disposition('name="file"; filename="a.wav"')}\r\nContent-Type: audio/wav\r\n\r\nRIFF`;

/** A form of parts as they are written. */
const form = (...parts: readonly string[]): string => `${parts.map((part) => `--x\r\n${part}\r\n`).join('')}--x--\r\n`;

const post = (body: string | Buffer, type = 'multipart/form-data; boundary=x') => ({
  method: 'POST',
  path: '/v1/audio/transcriptions',
  headers: { 'content-type': type },
  body,
});

const send = (t: Parameters<typeof request>[0], { port }: BodyServer, body: string | Buffer, type?: string) =>
  request(t, port, post(body, type));

const codeOf = ({ status, text }: RawResponse): unknown =>
  status === 200 ? undefined : (JSON.parse(text) as { error: { code: unknown } }).error.code;

/** The fields of an answer that is a form. */
async function fieldsOf({ body, headers }: RawResponse): Promise<readonly (readonly [string, unknown])[]> {
  const type = headers['x-type'] ?? '';
  const entries = [...(await new Response(Uint8Array.from(body), { headers: { 'content-type': type } }).formData())];
  return Promise.all(
    entries.map(async ([name, value]) =>
      typeof value === 'string'
        ? ([name, value] as const)
        : ([name, { name: value.name, type: value.type, text: await value.text() }] as const),
    ),
  );
}

test('SEC-35: what is sent on are the fields that were read, in a form of its own', async (t) => {
  const server = await startBodyServer(t, readForm);
  const response = await send(t, server, form(field('model', 'whisper'), file, field('prompt', 'a\r\n--y\r\né')));
  assert.deepEqual(await fieldsOf(response), [
    ['model', 'whisper'],
    ['file', { name: 'a.wav', type: 'audio/wav', text: 'RIFF' }],
    ['prompt', 'a\r\n--y\r\né'],
  ]);
  assert.match(response.headers['x-type'] ?? '', /^multipart\/form-data; boundary=ollama-guard-[0-9a-f]{32}$/);
  assert.doesNotMatch(response.text, /--x/);
  const [body] = server.outcomes;
  assert.ok(body !== undefined && 'facts' in body);
  const { values, images, textBytes } = body.facts;
  const model = values.get('model');
  assert.deepEqual([model?.value, [...values.keys()]], ['whisper', ['model']]);
  assert.equal(response.body.subarray(model?.start, model?.end).toString(), 'whisper');
  assert.deepEqual(
    [body.length, images, textBytes],
    [response.body.length, { count: 1, bytes: 4 }, 'whispera\r\n--y\r\né'.length + 1],
  );
});

test('SEC-35: exactly one field names the model', async (t) => {
  const server = await startBodyServer(t, readForm);
  for (const [parts, code] of [
    [[file], 'no-model'],
    [[field('models', 'a'), file], 'no-model'],
    [[field('model', 'a'), field('model', 'a')], 'ambiguous-json'],
    [[field('model', 'a'), field('Model', 'b')], 'ambiguous-json'],
    [[field('MODEL', 'a')], 'ambiguous-json'],
    [[field('model', 'a'), `${disposition('name="model"; filename="m"')}\r\n\r\nb`], 'ambiguous-json'],
    [[`${disposition('name="model"; filename="m"')}\r\n\r\nb`], 'bad-field'],
    [[`${disposition('name="model"; filename*=UTF-8\'\'m')}\r\n\r\nb`], 'bad-field'],
    [[field('model', 'a'.repeat(513))], 'bad-field'],
    [[field('model', 'a'.repeat(512))], undefined],
    [[field('mode\u017f', 'a'), field('model', 'a')], 'bad-body'],
  ] as const) {
    assert.equal(codeOf(await send(t, server, form(...parts))), code, parts.join());
  }
  const bytes = Buffer.from(form(field('model', 'a\0')));
  bytes[bytes.indexOf(0)] = 0xff;
  assert.equal(codeOf(await send(t, server, bytes)), 'bad-field');
});

test('what is no form is refused', async (t) => {
  const server = await startBodyServer(t, readForm);
  const good = form(field('model', 'a'), file);
  for (const type of [
    'application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'multipart/form-data; boundary=',
    'multipart/form-data; boundary=x; boundary=y',
    `multipart/form-data; boundary=${'x'.repeat(71)}`,
    'multipart/mixed; boundary=x',
    'multipart/form-datax; boundary=x',
  ]) {
    assert.equal(codeOf(await send(t, server, good, type)), 'not-a-form', type);
  }
  for (const type of ['Multipart/Form-Data; boundary="x"', 'multipart/form-data;charset=utf-8;BOUNDARY=x']) {
    assert.equal(codeOf(await send(t, server, good, type)), undefined, type);
  }
  const model = field('model', 'a');
  for (const body of [
    '',
    'model=a',
    `preamble\r\n${good}`,
    `\r\n${good}`,
    `${good}epilogue`,
    `${good}${good}`,
    good.slice(0, -4),
    form(model).replace('--x--', '--x- '),
    form(model).replace('--x\r', '--x \r'),
    form(model, field('prompt', 'a\r\n--xy')),
    form(model, 'no header\r\n\r\na'),
    form(model, '\r\n\r\na'),
    form(model, `${disposition('name="a"')}\r\n${disposition('name="model"')}\r\n\r\na`),
    form(model, `${disposition('name="a"; name="model"')}\r\n\r\na`),
    form(model, `${disposition('name="a')}\r\n\r\na`),
    form(model, `${disposition('name="a b"')}\r\n\r\na`),
    form(model, `${disposition('filename="b"')}\r\n\r\na`),
    form(model, 'Content-Disposition: attachment; name="a"\r\n\r\na'),
    form(model, `${disposition('name="a"')}\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=41`),
    form(model, `${disposition('name="a"')}\r\nX: ${'x'.repeat(1_024)}\r\n\r\na`),
    form(model, `${disposition('name="a"')}\r\nX: ${'x'.repeat(5_000)}`),
    form(model, ...Array.from({ length: 32 }, (_, i) => field(`f${i}`, ''))),
  ]) {
    assert.equal(codeOf(await send(t, server, body)), 'bad-body', JSON.stringify(body.slice(0, 200)));
  }
  assert.equal(codeOf(await send(t, server, form(model, ...Array.from({ length: 31 }, () => file)))), undefined);
});

test('the name and type of a file cannot add anything to the form', async (t) => {
  const server = await startBodyServer(t, readForm);
  for (const [parameters, name] of [
    ['filename="a\\".wav"', 'a_.wav'],
    ['filename="März 1.m4a"', 'März 1.m4a'],
    ['filename="a\r.wav"', undefined],
    ['filename="a\u0085\\\\b"', 'a__b'],
    ['filename=""', 'file'],
    ['filename=a.wav', 'a.wav'],
    ["filename*=UTF-8''a", 'file'],
  ] as const) {
    const part = `${disposition(`name="file"; ${parameters}`)}\r\nContent-Type: audio/wav; name="b"\r\n\r\nRIFF`;
    const response = await send(t, server, form(field('model', 'a'), part));
    if (name === undefined) assert.equal(codeOf(response), 'bad-body', parameters);
    else
      assert.deepEqual((await fieldsOf(response))[1], ['file', { name, type: 'audio/wav', text: 'RIFF' }], parameters);
  }
});

test('a form is at most 32 MiB, whatever other bodies may be', async (t) => {
  const server = await startBodyServer(t, readForm, { maxBytes: 64 * MiB });
  const client = await RawClient.open(t, server.port);
  const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n';
  client.send(`${head}Content-Length: ${32 * MiB + 1}\r\nExpect: 100-continue\r\n\r\n`);
  assert.equal(codeOf(await client.response()), 'body-too-large');
});

test('a form is taken apart into what it was made of, wherever it is cut', () => {
  const boundary = fc.constantFrom('x', '-', '----WebKitFormBoundary7MA4YWxkTrZu0gW');
  const line = fc.constantFrom('\r', '\n', '\r\n', '--', '\r\n-', '\r\n--', 'x', '-', 'RIFF', '\0', 'é');
  const content = fc.array(line, { maxLength: 20 }).map((all) => all.join(''));
  const parts = fc.array(fc.tuple(fc.constantFrom('model', 'file', 'a[]'), content), { maxLength: 5 });
  fc.assert(
    fc.property(boundary, parts, pieces, (mark, all, sizes) => {
      fc.pre(all.every(([, text]) => !`\r\n${text}\r\n`.slice(0, -2).includes(`\r\n--${mark}`)));
      // A part that ends like a delimiter begins would make one with what comes after it.
      fc.pre(all.every(([, text]) => `\r\n\r\n${text}\r\n--${mark}`.indexOf(`\r\n--${mark}`, 2) === text.length + 4));
      const written = all.map(([name, text]) => `--${mark}\r\n${field(name, text)}\r\n`).join('');
      const reader = new MultipartReader(mark);
      for (const chunk of inPieces(Buffer.from(`${written}--${mark}--\r\n`), sizes)) reader.write(chunk);
      const outcome = reader.end();
      assert.ok('parts' in outcome);
      assert.deepEqual(
        outcome.parts.map(({ name, content }) => [name, Buffer.concat(content.parts()).toString()]),
        all,
      );
    }),
    { numRuns: 2_000 },
  );
});

test('no bytes make it throw, and it refuses the same wherever they are cut', () => {
  const example = Buffer.from(form(field('model', 'a'), file));
  const spots = fc.array(fc.tuple(fc.nat({ max: example.length - 1 }), fc.nat({ max: 255 })), { maxLength: 4 });
  const read = (chunks: readonly Buffer[]) => {
    const reader = new MultipartReader('x');
    for (const chunk of chunks) reader.write(chunk);
    const outcome = reader.end();
    if ('refusal' in outcome) return outcome.refusal;
    return outcome.parts.map(({ content, ...headers }) => [headers, Buffer.concat(content.parts())]);
  };
  fc.assert(
    fc.property(spots, pieces, (changes, sizes) => {
      const bytes = Buffer.from(example);
      for (const [at, byte] of changes) bytes[at] = byte;
      assert.deepEqual(read(inPieces(bytes, sizes)), read([bytes]));
    }),
    { numRuns: 3_000 },
  );
});
