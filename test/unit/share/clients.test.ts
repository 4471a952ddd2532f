import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { type Client, type ClientContext, clients } from '../../../src/guard/share/clients.ts';
import { curlCommand } from '../../../src/guard/share/curl.ts';
import { jsonLiteral, oneLine, pemLines, powershellLiteral, shellJson } from '../../../src/guard/share/quote.ts';
import { type ShellId, shellIds, shells } from '../../../src/guard/share/shell.ts';

const docsPath = join(import.meta.dirname, '..', '..', '..', 'docs', 'clients.md');

/** What the snippets in docs/clients.md are made of. */
const example = {
  url: 'http://192.168.1.5:11435',
  user: 'alice',
  apiKey: 'og_YOUR_KEY',
  model: 'llama3.2',
  shell: 'bash',
} as const satisfies ClientContext;

/** The same for an endpoint that no system knows the certificate of. */
const trusted = {
  ...example,
  url: 'https://192.168.1.5:11435',
  trust: {
    pem: '-----BEGIN CERTIFICATE-----\nMIIBYOURCERTIFICATE\n-----END CERTIFICATE-----\n',
    sha256: 'AB:CD:EF',
    publicKeyPin: 'sha256//YOUR_PIN=',
  },
} as const satisfies ClientContext;

/** Every client with every shell that makes a difference to it. */
const variants = clients.flatMap((client) =>
  (client.usesShell ? shellIds : (['bash'] as const)).map((shell) => [client, shell] as const),
);
/** Those that sign in by an API key. */
const keyed = variants.filter(([client]) => client.keyLabel !== undefined);

/** What docs/clients.md shows; the ollama command has nothing to paste for an endpoint that is not encrypted. */
const documented = (client: Client) =>
  client.render(client.keyLabel === undefined ? { ...example, url: trusted.url } : example);

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({
    unit: fc.constantFrom(...'\'"`\\$%^&|<>()!#;=~*?@{}[],: ab\n\r\t\0‘’‚‛\u0085\u2028\u2029\ufeff\uffff😀\ud800'),
  }),
);
/** What an argument of a program can be. */
const argumentText = anyText.map((text) => text.toWellFormed().replaceAll('\0', ''));
/** cmd has no way to hold a line break. */
const cmdText = argumentText.map((text) => text.replace(/[\r\n]/g, ''));

describe('the clients', () => {
  it('have an id, a name and a label of their own', () => {
    for (const field of ['id', 'name', 'keyLabel'] as const)
      assert.equal(new Set(clients.map((client) => client[field])).size, clients.length);
    assert.deepEqual(
      clients.filter(({ keyLabel }) => keyLabel === undefined).map(({ id }) => id),
      ['ollama'],
    );
  });

  it('get the key once, and the address and a test with curl', () => {
    for (const [client, shell] of keyed) {
      const text = client.render({ ...example, shell });
      const label = `${client.id} in ${shell}`;
      assert.equal(text.split(example.apiKey).length - 1, 1, label);
      assert.match(
        text,
        /^(?:(?:#|\/\/|rem) )?Test, with the API key as the password: curl(?:\.exe)? -u alice /m,
        label,
      );
      assert.ok(text.includes(`-u alice ${example.url}/api/tags`), label);
      assert.doesNotMatch(text, /\/\/[^/\s]*@|localhost|undefined|insecure|verify/, label);
      assert.doesNotMatch(text, /\s$/, label);
    }
  });

  it('get what it takes to know the endpoint, and nothing that switches a check off', () => {
    const off =
      /verify_?(?:ssl)?\s*[=:]\s*false|rejectUnauthorized|NODE_TLS|CERT_NONE|insecure|SkipCertificateCheck|AcceptAll/i;
    for (const [client, shell] of keyed) {
      const text = client.render({ ...trusted, shell });
      const label = `${client.id} in ${shell}`;
      assert.equal(text.split(trusted.apiKey).length - 1, 1, label);
      assert.doesNotMatch(text, off, label);
      assert.doesNotMatch(text, /http:|undefined/, label);
      const commands = text.split('\n').filter((line) => /\bcurl(?:\.exe)? /.test(line));
      assert.ok(commands.length > 0, label);
      for (const command of commands)
        assert.match(command, /curl(?:\.exe)? -k --pinnedpubkey ['"]sha256\/\/YOUR_PIN=['"] /);
      assert.equal(text.match(/ -k /g)?.length, commands.length, label);
    }
  });

  it('need no more than before when every system knows the endpoint', () => {
    for (const [client, shell] of keyed) {
      const { url } = trusted;
      const text = client.render({ ...example, url, shell });
      assert.equal(text, client.render({ ...example, shell }).replaceAll(example.url, url), client.id);
    }
  });

  it('have one sentence to watch out for at most', () => {
    for (const { note = '', id } of clients) assert.match(note, /^(?:[^.!].*[^.]\.|)$/, id);
  });

  it('have as many lines as ever, whatever address, key and model hold', () => {
    // cmd ends a line at no separator but its own.
    const height = (client: Client, context: ClientContext) =>
      client.render(context).split(context.shell === 'cmd' ? /[\n\r]/ : /[\n\r\u2028\u2029]/).length;
    const trust = fc.record({ pem: fc.constant(trusted.trust.pem), sha256: anyText, publicKeyPin: anyText });
    const parts = fc.record({ url: anyText, user: fc.constant('alice'), apiKey: anyText, model: anyText, trust });
    for (const [client, shell] of keyed) {
      // There, a line break inside of quotes is text; the tests of the shells take those apart.
      const breaksInQuotes = client.id === 'powershell' || (client.usesShell && shell !== 'cmd');
      if (breaksInQuotes) continue;
      const expected = height(client, { ...trusted, shell });
      const check = (some: Omit<ClientContext, 'shell'>) =>
        assert.equal(height(client, { ...some, shell }), expected, client.id);
      fc.assert(fc.property(parts, check), { numRuns: 50 });
    }
  });
});

describe('what the ollama command gets', () => {
  const ollama = clients.find(({ id }) => id === 'ollama') ?? assert.fail();

  it('is where to find the endpoint, and what to send its owner, and no key', () => {
    for (const url of ['https://192.168.1.5:11435', 'http://127.0.0.1:11435', 'http://[::1]:11435']) {
      const set = {
        bash: [`export OLLAMA_HOST=${url.includes('[') ? `'${url}'` : url}`, 'export OLLAMA_AUTH=1'],
        powershell: [`$env:OLLAMA_HOST = '${url}'`, "$env:OLLAMA_AUTH = '1'"],
        cmd: [`set OLLAMA_HOST=${url}`, 'set OLLAMA_AUTH=1'],
      };
      for (const shell of shellIds) {
        const [first = '', ...rest] = ollama.render({ ...example, url, shell }).split('\n');
        assert.match(first, /^(#|rem) Once: send ~\/\.ollama\/id_ed25519\.pub to the owner/);
        assert.deepEqual(rest, [...set[shell], 'ollama list']);
      }
    }
  });

  it('is the certificate that it has to trust, in a file, and nothing that switches a check off', () => {
    for (const shell of shellIds) {
      const text = ollama.render({ ...trusted, shell });
      assert.ok(text.includes('MIIBYOURCERTIFICATE'));
      assert.match(text, /SSL_CERT_FILE ?= ?["%$].*ollama-guard-ca\.pem/);
      assert.doesNotMatch(text, /og_YOUR_KEY|insecure|GODEBUG|http:/i);
    }
  });

  it('is the word that an endpoint in clear does not take its signatures, and nothing to run', () => {
    for (const url of [example.url, 'http://gpu.example.org:11435', 'http://[fe80::1]:11435']) {
      for (const shell of shellIds) {
        const text = ollama.render({ ...example, url, shell });
        assert.ok(text.split('\n').every((line) => /^(#|rem) /.test(line)));
        assert.ok(text.includes(`signs in over https alone, and ${url} is not encrypted`));
      }
    }
  });

  it('is as many lines as ever, whatever the address holds', () => {
    const height = (url: string) => ollama.render({ ...example, shell: 'cmd', url }).split(/[\n\r]/).length;
    fc.assert(fc.property(anyText, (text) => assert.equal(height(`https:${text}`), 4)));
    fc.assert(fc.property(anyText, (text) => assert.ok([2, 4].includes(height(text)))));
  });
});

describe('docs/clients.md', () => {
  it('has a section for every client, in order, with its snippet and its note', () => {
    const sections = readFileSync(docsPath, 'utf8').split(/^## /m).slice(1);
    const names = sections.map((section) => section.slice(0, section.indexOf('\n')));
    assert.deepEqual(
      names.filter((name) => clients.some((client) => client.name === name)),
      clients.map(({ name }) => name),
    );
    for (const client of clients) {
      const section = sections[names.indexOf(client.name)] ?? '';
      assert.ok(section.includes(`\n${documented(client)}\n\`\`\``), `${client.id}: the snippet is another`);
      assert.ok(section.includes(client.note ?? ''), `${client.id}: the note is missing`);
    }
  });

  it('has what each client gets for a certificate that no system knows', () => {
    const docs = readFileSync(docsPath, 'utf8');
    assert.ok(docs.includes(curlCommand(trusted.url, { user: 'alice' }, 'bash', trusted.trust)));
    const sections = new Map(docs.split(/^## /m).map((section) => [section.slice(0, section.indexOf('\n')), section]));
    for (const client of clients) {
      const plain = client.render({ ...example, url: trusted.url }).split('\n');
      const added = client
        .render(trusted)
        .split('\n')
        .filter((line) => !plain.includes(line));
      for (const line of added.filter((one) => !/\bTest, with/.test(one)))
        assert.ok(sections.get(client.name)?.includes(line), `${client.id}: ${line}`);
    }
  });
});

describe('a model with an evil name', () => {
  /** A terminal takes these for keys: in bash ^U wipes the line, in PowerShell and cmd it is Escape. */
  const evil = 'x\u0015touch owned\n\u001bcalc\u009b201~\u0003';

  it('presses no keys where a snippet is pasted', () => {
    for (const [client, shell] of variants) {
      const text = client.render({ ...trusted, model: evil, shell });
      assert.doesNotMatch(text.replaceAll('\n', ''), /\p{Cc}/u, `${client.id} in ${shell}`);
      assert.equal(text.split('\n').length, client.render({ ...trusted, shell }).split('\n').length, client.id);
    }
  });
});

describe('a literal', () => {
  it('for JSON and JavaScript is the text again, and printable ASCII', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const literal = jsonLiteral(text);
        assert.match(literal, /^[ -~]*$/);
        assert.equal(JSON.parse(literal), text);
        assert.equal(runInNewContext(literal), text);
      }),
    );
  });

  it('for a shell as JSON is the value again, with no sign that a shell acts on', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const json = shellJson({ model: text, stream: false });
        assert.match(json, /^[\w {}[\],:"./\\-]*$/);
        assert.deepEqual(JSON.parse(json), { model: text, stream: false });
      }),
    );
  });

  it('for PowerShell ends at no quote inside, typographic ones included', () => {
    fc.assert(fc.property(argumentText, (text) => assert.equal(readPowershell(powershellLiteral(text)), text)));
  });

  it('in a comment or a field is one line', () => {
    fc.assert(fc.property(anyText, (text) => assert.doesNotMatch(oneLine(text), /[\p{Cc}\u2028\u2029\ud800-\udfff]/u)));
  });
});

describe('a certificate', () => {
  it('is lines of what PEM is made of, whatever it holds', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        for (const line of pemLines(text)) assert.match(line, /^[A-Za-z0-9+/= -]+$/);
      }),
    );
    const { pem } = trusted.trust;
    assert.equal(pemLines(pem.replaceAll('\n', '\r\n')).join('\n'), pem.trim());
    assert.deepEqual(pemLines('"""\n\'; `$(calc)` %PATH% > x'), ['calc PATH  x']);
  });

  const { pem } = trusted.trust;
  const file = 'ca.pem';

  it('is written to the home folder by bash, and found there', (t) => {
    const home = mkdtempSync(join(tmpdir(), "ollama guard's home-"));
    t.after(() => rmSync(home, { recursive: true, force: true }));
    const { writeHomeFile, assignHomeFile } = shells.bash;
    const script = [writeHomeFile(file, pemLines(pem)), assignHomeFile('CA', file), 'cat "$CA"'].join('\n');
    const out = execFileSync('bash', ['-s'], { input: script, encoding: 'utf8', env: { ...process.env, HOME: home } });
    assert.equal(out, pem);
  });

  it('is written by PowerShell and cmd', () => {
    const [, literal = ''] =
      /^Set-Content -Encoding ascii -LiteralPath "\$HOME\/ca\.pem" -Value (.*)$/s.exec(
        shells.powershell.writeHomeFile(file, pemLines(pem)),
      ) ?? [];
    assert.equal(readPowershell(literal), pem.trim());
    assert.equal(shells.powershell.assignHomeFile('CA', file), '$env:CA = "$HOME/ca.pem"');
    assert.deepEqual(shells.cmd.writeHomeFile(file, pemLines(pem)).split('\n'), [
      '>"%USERPROFILE%\\ca.pem" echo -----BEGIN CERTIFICATE-----',
      '>>"%USERPROFILE%\\ca.pem" echo MIIBYOURCERTIFICATE',
      '>>"%USERPROFILE%\\ca.pem" echo -----END CERTIFICATE-----',
    ]);
    assert.equal(shells.cmd.assignHomeFile('CA', file), 'set CA=%USERPROFILE%\\ca.pem');
  });
});

describe('a shell', () => {
  const sample = fc.sample(argumentText, 200);

  it('bash gives any value and any argument back', () => {
    const script = sample.flatMap((text) => [
      shells.bash.assign('ONE', text),
      shells.bash.assignFrom('OTHER', 'ONE'),
      `printf '%s\\0' "$OTHER" ${shells.bash.quote(text)}`,
    ]);
    const out = execFileSync('bash', ['-s'], { input: script.join('\n'), encoding: 'utf8' });
    assert.deepEqual(
      out.split('\0').slice(0, -1),
      sample.flatMap((text) => [text, text]),
    );
  });

  // No PowerShell and no cmd run here: readers by the rules of their documentation stand in for them.
  it('PowerShell gives any value back', () => {
    for (const text of sample) {
      const [, literal = ''] = /^\$env:ONE = (.*)$/s.exec(shells.powershell.assign('ONE', text)) ?? [];
      assert.equal(readPowershell(literal), text);
    }
    assert.equal(shells.powershell.assignFrom('OTHER', 'ONE'), '$env:OTHER = $env:ONE');
    assert.equal(shells.powershell.quote('@splat'), "'@splat'");
  });

  it('cmd gives any argument and any value back', () => {
    fc.assert(
      fc.property(cmdText, (text) => {
        assert.deepEqual(readArguments(readCmd(`curl ${shells.cmd.quote(text)} end`)), ['curl', text, 'end']);
        assert.equal(readCmd(shells.cmd.assign('ONE', text)), `set ONE=${text}`);
      }),
      { numRuns: 2_000 },
    );
    assert.equal(shells.cmd.assign('ONE', 'a\r\ncalc'), 'set ONE=acalc');
    assert.equal(readCmd(shells.cmd.quote('a\ncalc')), '"acalc"');
    assert.equal(shells.cmd.assignFrom('OTHER', 'ONE'), 'set OTHER=%ONE%');
  });

  const [curl, powershell] = ['curl', 'powershell'].map((id) => clients.find((client) => client.id === id));

  it('bash passes the request of a chat on', () => {
    const commands = sample.map((text) => curl?.render({ ...example, url: text, apiKey: text, model: text }));
    const input = ['curl() { printf \'%s\\0\' "$@"; }', ...commands].join('\n');
    const out = execFileSync('bash', ['-s'], { input, encoding: 'utf8' });
    const body = (model: string) => shellJson({ model, messages: [{ role: 'user', content: 'Hello' }], stream: false });
    assert.deepEqual(
      out.split('\0').slice(0, -1),
      sample.flatMap((text) => {
        const headers = ['-H', `Authorization: Bearer ${text}`, '-H', 'Content-Type: application/json'];
        return [...headers, '-d', body(text), `${text}/api/chat`];
      }),
    );
  });

  it('cmd and PowerShell pass the request of a chat on', () => {
    fc.assert(
      fc.property(anyText, (model) => {
        const request = { model, messages: [{ role: 'user', content: 'Hello' }], stream: false };
        const context = (shell: ShellId) => ({ ...example, model, shell });
        const [, command = ''] = curl?.render(context('cmd')).split('\n') ?? [];
        const args = readArguments(readCmd(command));
        assert.deepEqual(JSON.parse(args[args.indexOf('-d') + 1] ?? ''), request);
        const [, body = ''] =
          / -Body ('.*')\)\.message\.content$/s.exec(powershell?.render(context('powershell')) ?? '') ?? [];
        assert.deepEqual(JSON.parse(readPowershell(body)), request);
        // Through a pipe, in whose encoding anything but ASCII could be lost.
        const [, piped = ''] =
          /\n('[ -~]*') \| curl\.exe -k .* -d '@-' /.exec(powershell?.render({ ...trusted, model }) ?? '') ?? [];
        assert.deepEqual(JSON.parse(readPowershell(piped)), request);
      }),
    );
  });
});

/** A single-quoted string of PowerShell; two single quotes of any kind are one (about_Quoting_Rules). */
function readPowershell(literal: string): string {
  assert.match(literal, /^'(?:[^'‘’‚‛]|['‘’‚‛]{2})*'$/u);
  return literal.slice(1, -1).replace(/['‘’‚‛](['‘’‚‛])/g, '$1');
}

/**
 * What cmd makes of a line at its prompt: variables first (a name that nobody can have is left alone), then quotes,
 * inside of which all is text, and carets. Fails when a sign would do something.
 */
function readCmd(line: string): string {
  for (const [, name = ''] of line.matchAll(/%(?=([^%]*)%)/g)) assert.match(name, /^["^]/);
  const characters = [...line];
  let read = '';
  let quoted = false;
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at] ?? '';
    if (character === '^' && !quoted) {
      at += 1;
      read += characters[at] ?? '';
      continue;
    }
    if (character === '"') quoted = !quoted;
    else if (!quoted) assert.doesNotMatch(character, /[&|<>()\r\n]/);
    read += character;
  }
  return read;
}

/**
 * The C runtime's rules: backslashes mean something before a double quote alone, and two double quotes inside of quotes
 * are one. https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments
 */
function readArguments(line: string): string[] {
  const found: string[] = [];
  let current: string | undefined;
  let quoted = false;
  for (const [token, backslashes = ''] of line.matchAll(/(\\+)"|""|./gsu)) {
    if (token === ' ' && !quoted) {
      if (current !== undefined) found.push(current);
      current = undefined;
      continue;
    }
    current ??= '';
    if (backslashes !== '') {
      current += '\\'.repeat(backslashes.length >> 1);
      if (backslashes.length % 2 === 1) current += '"';
      else quoted = !quoted;
    } else if (token === '""') {
      if (quoted) current += '"';
    } else if (token === '"') quoted = !quoted;
    else current += token;
  }
  assert.equal(quoted, false);
  if (current !== undefined) found.push(current);
  return found;
}
