import { createHash } from 'node:crypto';
import { type Call, NATIVE_JSON, NDJSON, PLAIN_JSON, readJson, send, sendJson } from './call.ts';
import { MODEL_SIZE, nameOf } from './catalogue.ts';
import { type Fields, flagOf, textOf } from './fields.ts';
import { line } from './native.ts';
import { Refusal } from './refusal.ts';

/** Progress records between the first and the last byte of a pretended download. */
const PULL_STEPS = 8;

const DIGEST = /^sha256[:-]([0-9a-f]{64})$/i;

/** `POST /api/pull`: pretends a download and adds the model. Nothing is fetched, whatever registry the name holds. */
export async function pull(call: Call): Promise<void> {
  const body = await readJson(call);
  const name = nameOf(modelOf(body));
  const records = pullRecords(createHash('sha256').update(name.key).digest('hex'));
  await deliverProgress(call, body, records, () => call.demo.catalogue.add(name));
}

/** `POST /api/push`: answers like a push that went well, and says that nothing left the computer. */
export async function push(call: Call): Promise<void> {
  const body = await readJson(call);
  call.demo.catalogue.find(modelOf(body));
  const texts = ['retrieving manifest', 'demo: nothing leaves this computer', 'success'];
  await deliverProgress(call, body, texts.map(statusOf), () => {});
}

/** `POST /api/create`: a new name for what another model can do. Uploaded files are not looked at. */
export async function create(call: Call): Promise<void> {
  const body = await readJson(call);
  const name = nameOf(modelOf(body));
  const from = textOf(body, 'from');
  if (from === '' && body.files === undefined) throw new Refusal(400, "neither 'from' or 'files' was specified");
  const capabilities = from === '' ? undefined : call.demo.catalogue.find(from).capabilities;
  const texts = ['using existing layer', 'writing manifest', 'success'];
  await deliverProgress(call, body, texts.map(statusOf), () => call.demo.catalogue.add(name, capabilities));
}

/** `POST /api/copy` */
export async function copy(call: Call): Promise<void> {
  const body = await readJson(call);
  const source = call.demo.catalogue.find(textOf(body, 'source'), (raw) => `model "${raw}" not found`);
  call.demo.catalogue.add(nameOf(textOf(body, 'destination')), source.capabilities);
  sendEmpty(call, 200);
}

/** `DELETE /api/delete`, the name in a body. */
export async function remove(call: Call): Promise<void> {
  const body = await readJson(call);
  call.demo.catalogue.remove(call.demo.catalogue.find(modelOf(body)));
  sendEmpty(call, 200);
}

/** `HEAD /api/blobs/:digest` */
export function headBlob(call: Call): void {
  const digest = digestOf(call.param);
  if (!call.demo.blobs.has(digest)) throw new Refusal(404, `blob "${call.param}" not found`);
  sendEmpty(call, 200);
}

/** `POST /api/blobs/:digest`: an upload of any size is hashed and forgotten; only its digest is remembered. */
export async function putBlob(call: Call): Promise<void> {
  const digest = digestOf(call.param);
  if (call.demo.blobs.has(digest)) return sendEmpty(call, 200);
  const hash = createHash('sha256');
  for await (const chunk of call.req) hash.update(chunk);
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== digest) throw new Refusal(400, `digest mismatch, expected "${call.param}", got "${found}"`);
  call.demo.blobs.add(digest);
  sendEmpty(call, 201);
}

async function deliverProgress(
  call: Call,
  body: Fields,
  records: readonly object[],
  commit: () => void,
): Promise<void> {
  const { demo, res } = call;
  const last = records.length - 1;
  if (flagOf(body, 'stream') ?? true) {
    res.writeHead(200, { 'Content-Type': NDJSON });
    await demo.pacer.stream(res, records.length, (index) => {
      if (index === last) commit();
      return line(records[index] ?? {});
    });
  } else if (await demo.pacer.wait(res, last)) {
    commit();
    sendJson(res, records[last], PLAIN_JSON);
  }
}

function pullRecords(hex: string): object[] {
  const status = `pulling ${hex.slice(0, 12)}`;
  const download = Array.from({ length: PULL_STEPS + 1 }, (_, step) => ({
    status,
    digest: `sha256:${hex}`,
    total: MODEL_SIZE,
    ...(step === 0 ? {} : { completed: (MODEL_SIZE * step) / PULL_STEPS }),
  }));
  const after = ['verifying sha256 digest', 'writing manifest', 'success'];
  return [statusOf('pulling manifest'), ...download, ...after.map(statusOf)];
}

function statusOf(status: string): object {
  return { status };
}

function modelOf(body: Fields): string {
  return textOf(body, 'model') || textOf(body, 'name');
}

function digestOf(param: string): string {
  const hex = DIGEST.exec(param)?.[1];
  if (hex === undefined) throw new Refusal(400, 'invalid digest format');
  return `sha256:${hex.toLowerCase()}`;
}

function sendEmpty({ res }: Call, status: number): void {
  send(res, status, NATIVE_JSON, '');
}
