import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { curlCommand } from '../../../src/guard/share/curl.ts';
import { parseDuration } from '../../../src/guard/share/duration.ts';
import { defaultShell, shells } from '../../../src/guard/share/shell.ts';

const url = 'http://192.0.2.5:11435';

describe('the curl command', () => {
  it('holds an API key or a name that curl asks the password of', () => {
    assert.equal(curlCommand(url, { user: 'alice' }, 'bash'), `curl -u alice ${url}/api/tags`);
    assert.equal(
      curlCommand(url, { apiKey: 'og_x_y' }, 'bash'),
      `curl -H 'Authorization: Bearer og_x_y' ${url}/api/tags`,
    );
    assert.equal(
      curlCommand(url, { apiKey: 'og_x_y' }, 'powershell'),
      `curl.exe -H 'Authorization: Bearer og_x_y' ${url}/api/tags`,
    );
    assert.equal(
      curlCommand(url, { apiKey: 'og_x_y' }, 'cmd'),
      `curl -H "Authorization: Bearer og_x_y" ${url}/api/tags`,
    );
  });

  it('tells the endpoint by its key, in the one line and with -k never alone', () => {
    const trust = { pem: '', sha256: '', publicKeyPin: 'sha256//a+b/c=' };
    const https = 'https://[fd00::5]:11435';
    assert.equal(
      curlCommand(https, { user: 'alice' }, 'bash', trust),
      `curl -k --pinnedpubkey 'sha256//a+b/c=' -u alice '${https}/api/tags'`,
    );
    assert.equal(
      curlCommand(https, { user: 'alice' }, 'powershell', trust),
      `curl.exe -k --pinnedpubkey 'sha256//a+b/c=' -u alice '${https}/api/tags'`,
    );
    assert.equal(
      curlCommand(https, { user: 'alice' }, 'cmd', trust),
      `curl -k --pinnedpubkey "sha256//a+b/c=" -u alice "${https}/api/tags"`,
    );
  });

  it('goes by the platform', () => {
    assert.deepEqual(
      [defaultShell('win32'), defaultShell('linux'), defaultShell('darwin')],
      ['powershell', 'bash', 'bash'],
    );
  });
});

describe('quoting', () => {
  it('for bash gives bash back any text', () => {
    const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'));
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 20 }), (texts) => {
        const script = `printf '%s\\0' ${texts.map(shells.bash.quote).join(' ')}`;
        const out = execFileSync('bash', ['-c', script], { encoding: 'utf8' });
        assert.deepEqual(out.split('\0').slice(0, -1), texts);
      }),
      { numRuns: 25 },
    );
  });

  // No PowerShell and no cmd run here; these hold the rules of their documentation.
  it('for PowerShell and cmd doubles and escapes what would end a quote', () => {
    assert.equal(shells.powershell.quote("it's $x"), "'it''s $x'");
    assert.equal(shells.cmd.quote('say "hi"\\'), '"say \\"hi\\"\\\\"');
    assert.equal(shells.cmd.quote('100 %PATH%'), '"100 "^%"PATH"^%""');
  });
});

describe('a duration', () => {
  it('is a number and a unit', () => {
    assert.deepEqual(
      ['90m', '12h', '30d', '2w'].map(parseDuration),
      [5_400_000, 43_200_000, 2_592_000_000, 1_209_600_000],
    );
    for (const text of ['', '0d', '-1d', '1', 'd', '1.5h', '1y', '999999d'])
      assert.equal(parseDuration(text), undefined);
  });
});
