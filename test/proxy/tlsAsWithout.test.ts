// What holds for requests holds for encrypted ones. The very same tests, run once more over TLS.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { it } from 'node:test';
import { without } from '../support/debian.ts';
import { overTlsVariable } from '../support/overTls.ts';

/** One or more of each kind: credentials, limits, streams, who leaves early, what is refused, where it listens. */
const files = [
  'activity',
  'entryBodyLimit',
  'entryFraming',
  'entryHeaderLimits',
  'entryIdleTimeouts',
  'entryRefusedUpload',
  'p01ClientAbortsMidStream',
  'p02ClientAbortsBeforeHeaders',
  'p03UpstreamDiesMidBody',
  'p05ExpectAndAuthorization',
  'p07SmuggledRequestCve202629057',
  'p11UpstreamResets',
  'reviewEarlyAnswer',
  'reviewPipelining',
  'rule10StopWithLiveStream',
  'sec11DnsRebindingCve202428224',
  'sec18EveryRouteNeedsACredential',
  'sec64NoBuffering',
  'share',
];

it('the tests of unencrypted requests hold over TLS', { skip: without('openssl') }, async () => {
  const { NODE_TEST_CONTEXT: _runner, ...env } = process.env;
  const child = spawn(
    process.execPath,
    [
      '--test',
      '--test-reporter=spec',
      '--test-timeout=60000',
      ...files.map((name) => join(import.meta.dirname, `${name}.test.ts`)),
    ],
    { env: { ...env, [overTlsVariable]: '1' }, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  let out = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) out += chunk;
  const failed = out.slice(out.indexOf('failing tests:'));
  if (!/^ℹ fail 0$/m.test(out) || !/^ℹ pass [1-9]/m.test(out)) throw new Error(failed || out);
});
