/** Two computers and the wire between them: what a teammate's connector sends there, and to whom. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { type CommandLine, keepProgram, type Running, runProgram, temporaryFolder } from '../cli/command.ts';
import { without, withoutNamespaces } from '../support/debian.ts';
import { createWire, type NetworkNamespace, type Wire } from '../support/namespaces.ts';

const skip = withoutNamespaces() || without('tcpdump', 'curl', 'openssl');
const root = join(import.meta.dirname, '..', '..');
const cli = join(root, 'src', 'cli.ts');
const listening = /listening on (https?:\/\/\S+)$/m;
const prompt = 'a-prompt-that-nobody-else-should-read';

const ipv4 = { owner: ['10.77.1.1/24'], teammate: ['10.77.1.2/24'] };
const ipv6 = { owner: ['fd77::1/64'], teammate: ['fd77::2/64'] };

function guardOn(host: NetworkNamespace, ...args: readonly string[]): CommandLine {
  return host.run(process.execPath, cli, ...args);
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 100));
}

/** Everything on the wire, from now until `end`, byte for byte. */
async function capture(t: TestContext, { teammate }: Wire): Promise<{ end(): Promise<Buffer> }> {
  const file = join(await temporaryFolder(t), 'wire.pcap');
  const options = ['-i', teammate.interfaceName, '-w', file, '-U', '--immediate-mode', '-s', '0', '-Z', 'root'];
  const tcpdump = keepProgram(t, teammate.run('tcpdump', ...options));
  await until(() => tcpdump.printed.err.includes('listening on'));
  return {
    async end() {
      await tcpdump.end('SIGINT');
      return readFile(file);
    },
  };
}

/** An owner's guard in front of the demo, on one end of a wire. */
interface Shared {
  readonly wire: Wire;
  readonly url: string;
  readonly guard: Running;
  readonly data: string;
}

async function share(
  t: TestContext,
  addresses: Parameters<typeof createWire>[1],
  listen: string,
  tls: 'auto' | 'off' = 'auto',
): Promise<Shared> {
  const wire = createWire(t, addresses);
  const { owner } = wire;
  const demo = keepProgram(t, owner.run(process.execPath, join(root, 'src/demo/main.ts')));
  const upstream = await demo.line(listening);
  const data = await temporaryFolder(t);
  await runProgram(guardOn(owner, 'user', 'add', 'owner', '--data', data));
  const args = ['--listen', listen, '--upstream', upstream, '--data', data, '--tls', tls, '--log-format', 'json'];
  const guard = keepProgram(t, guardOn(owner, 'serve', ...args));
  return { wire, url: await guard.line(listening), guard, data };
}

/** A teammate who has joined on the other end. */
interface JoinedUp {
  readonly connector: Running;
  readonly url: string;
  readonly code: string;
  readonly apiKey: string;
}

async function joinUp(t: TestContext, { wire, data: ownerData }: Shared): Promise<JoinedUp> {
  const { owner, teammate } = wire;
  const invite = await runProgram(guardOn(owner, 'invite', 'mia', '--data', ownerData));
  const link = invite.out.trim();
  const data = await temporaryFolder(t);
  const args = ['join', '-', '--listen', '127.0.0.1:0', '--data', data];
  const connector = keepProgram(t, guardOn(teammate, ...args), link);
  const url = await connector.line(listening);
  const { joined } = JSON.parse(await readFile(join(data, 'joined.json'), 'utf8'));
  const { c: code } = JSON.parse(Buffer.from(link.split('#')[1] ?? '', 'base64url').toString());
  return { connector, url, code, apiKey: joined[0].apiKey };
}

/** Asks through the connector, on the teammate's computer, and gives the lines of the streamed answer. */
async function generate({ teammate }: Wire, { url }: JoinedUp): Promise<readonly string[]> {
  const body = JSON.stringify({ model: 'demo', prompt });
  const curl = teammate.run('curl', '-sS', '-N', '--max-time', '60', `${url}/api/generate`, '-d', body);
  return (await runProgram(curl)).out.trim().split('\n');
}

function isAnswer(lines: readonly string[]): boolean {
  return lines.length > 2 && lines.at(-1)?.includes('"done":true') === true;
}

/** Joins, asks, and tells which of the secrets were to be read on the wire meanwhile. */
async function readableOnTheWire(t: TestContext, shared: Shared): Promise<Readonly<Record<string, boolean>>> {
  const captured = await capture(t, shared.wire);
  const joined = await joinUp(t, shared);
  const lines = await generate(shared.wire, joined);
  assert.ok(isAnswer(lines), lines.join('\n'));
  const bytes = await captured.end();
  assert.ok(bytes.length > 1_000);
  const { code, apiKey } = joined;
  const secrets = { code, apiKey, prompt, answer: lines[1] ?? assert.fail() };
  return Object.fromEntries(Object.entries(secrets).map(([name, secret]) => [name, bytes.includes(secret)]));
}

describe('on the wire between two computers', { skip }, () => {
  for (const [kind, addresses, listen] of [
    ['IPv4', ipv4, '0.0.0.0:0'],
    ['IPv6 alone', ipv6, '[::]:0'],
  ] as const) {
    test(`nothing of a joined endpoint can be read, over ${kind}`, async (t) => {
      const readable = await readableOnTheWire(t, await share(t, addresses, listen));
      assert.deepEqual(readable, { code: false, apiKey: false, prompt: false, answer: false });
    });
  }

  test('everything can be read without encryption, so that the above can fail', async (t) => {
    const readable = await readableOnTheWire(t, await share(t, ipv4, '0.0.0.0:0', 'off'));
    assert.deepEqual(readable, { code: true, apiKey: true, prompt: true, answer: true });
  });

  test('nobody on the network reaches a connector', async (t) => {
    const shared = await share(t, ipv4, '0.0.0.0:0');
    const joined = await joinUp(t, shared);
    const { port } = new URL(joined.url);
    const curl = (host: NetworkNamespace, url: string) =>
      runProgram(host.run('curl', '-sS', '--max-time', '20', `${url}/_guard/health`));
    const { owner, teammate } = shared.wire;
    assert.equal((await curl(owner, `http://10.77.1.2:${port}`)).code, 7, 'the connection is refused');
    assert.equal((await curl(teammate, joined.url)).out, '{"status":"ok"}');
  });
});

describe("when the owner's address changes", { skip }, () => {
  const addresses = {
    owner: ['10.77.1.1/24', '10.77.2.1/24'],
    teammate: ['10.77.1.2/24', '10.77.2.2/24', '10.77.3.2/24'],
  };

  test('the guard serves on, with a certificate for the new one, and the connector takes another way', async (t) => {
    const shared = await share(t, addresses, '0.0.0.0:0');
    const { wire, url, data, guard } = shared;
    const { owner, teammate } = wire;
    const joined = await joinUp(t, shared);
    assert.ok(isAnswer(await generate(wire, joined)));
    const ca = join(data, 'ca.pem');
    await writeFile(ca, (await runProgram(guardOn(owner, 'ca', '--data', data))).out);
    const dev = ['dev', owner.interfaceName] as const;
    owner.ip('address', 'del', '10.77.1.1/24', ...dev);
    owner.ip('address', 'add', '10.77.3.1/24', ...dev);
    const changedAt = performance.now();

    const { port } = new URL(url);
    const options = ['-sS', '--max-time', '5', '--cacert', ca, `https://10.77.3.1:${port}/_guard/health`];
    const curl = teammate.run('curl', ...options);
    await until(async () => (await runProgram(curl)).code === 0);
    t.diagnostic(`the new address was in the certificate after ${Math.round(performance.now() - changedAt)} ms`);
    await until(async () => (await runProgram(curl)).out === '{"status":"ok"}');
    t.diagnostic(`and answered to after ${Math.round(performance.now() - changedAt)} ms`);

    await until(async () => isAnswer(await generate(wire, joined)));
    assert.ok(guard.printed.err.includes('"status":200'));
    assert.equal(await joined.connector.end('SIGINT'), 0);
  });

  test('whoever has it then gets nothing from the connector', async (t) => {
    const shared = await share(t, ipv4, '0.0.0.0:0');
    const { wire, url, guard } = shared;
    const joined = await joinUp(t, shared);
    assert.ok(isAnswer(await generate(wire, joined)));
    await guard.end('SIGKILL');
    // Another guard is as good an impostor as any: it says so when a request comes.
    const { port } = new URL(url);
    const data = await temporaryFolder(t);
    await runProgram(guardOn(wire.owner, 'user', 'add', 'owner', '--data', data));
    const args = ['serve', '--listen', `0.0.0.0:${port}`, '--data', data, '--tls', 'auto', '--log-format', 'json'];
    const impostor = keepProgram(t, guardOn(wire.owner, ...args));
    await impostor.line(listening);
    for (let i = 0; i < 3; i++) {
      const [answer = ''] = await generate(wire, joined);
      assert.match(answer, /is not the endpoint you joined/);
    }
    await until(() => joined.connector.printed.err.includes('is not the endpoint that was joined'));
    const curl = ['-sSk', '-o', '/dev/null', `https://10.77.1.1:${port}/api/tags`];
    await runProgram(wire.teammate.run('curl', ...curl));
    await until(() => impostor.printed.err.includes('"type":"request"'));
    const requests = impostor.printed.err.match(/"type":"request"/g);
    assert.equal(requests?.length, 1, 'curl alone, which takes anybody for the endpoint, was heard');
    assert.doesNotMatch(impostor.printed.err, /sign-in-failed/);
  });
});
