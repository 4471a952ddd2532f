import assert from 'node:assert/strict';
import { test } from 'node:test';
import { modelNames } from '../../../src/guard/forward/probe.ts';
import { startFakeOllama } from '../../support/fakeOllama.ts';

const patienceMs = 10_000;

test('models are named in the order that Ollama gives', async (t) => {
  const names = ['llama3.2:latest', 'hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M', 'my-registry:5000/a/b_c:1'];
  const upstream = await startFakeOllama(t, (reply) => reply.json({ models: names.map((name) => ({ name })) }));
  assert.deepEqual(await modelNames(upstream.url, patienceMs), names);
});

test('a name that Ollama would not take is left out: teammates paste names into their shells', async (t) => {
  const evil = ['x\u0015touch owned\n', 'a b', '$(id)', "a'b", 'a"b', '', '-a', 'a\u202eb', 'x'.repeat(257)];
  const models = [...evil, 'good'].map((name) => ({ name }));
  const upstream = await startFakeOllama(t, (reply) => reply.json({ models }));
  assert.deepEqual(await modelNames(upstream.url, patienceMs), ['good']);
});

test('a list without end is not read to its end', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => {
    reply.stream();
    const flood = () => {
      while (!reply.socket.destroyed && reply.socket.write('10000\r\n'.padEnd(0x10000 + 7, ' ').concat('\r\n')));
    };
    reply.socket.on('drain', flood);
    flood();
  });
  assert.deepEqual(await modelNames(upstream.url, patienceMs), []);
  const { socket } = await upstream.reply(0);
  // One MiB is read, and some more is on its way.
  assert.ok(socket.bytesWritten < 32 * 1024 * 1024, `${socket.bytesWritten} bytes were taken`);
});
