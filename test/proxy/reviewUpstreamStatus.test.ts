/** A status below 100 passes Node's parser and made its writer throw, which ended the guard for everyone. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { it } from 'node:test';
import { get } from '../support/asks.ts';
import { bodies } from '../support/bodies.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

for (const status of ['000', '099']) {
  it(`an upstream status of ${status} is a 502, and the guard lives on`, async (t) => {
    const upstream = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(`HTTP/1.1 ${status} Odd\r\nContent-Length: 0\r\n\r\n`));
    }).listen(0, '127.0.0.1');
    t.after(() => upstream.close());
    await new Promise((resolve) => upstream.once('listening', resolve));
    const address = upstream.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const guard = await startGuard(t, `http://127.0.0.1:${port}`);
    for (const request of [get(team.mia, '/api/tags'), get(team.mia, '/api/version'), ...Object.values(bodies)]) {
      for (let i = 0; i < 2; i++) assert.equal((await guard.call(request)).status, 502);
    }
  });
}
