/** What is in the package that people install. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

const root = join(import.meta.dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'ollama-guard-vsix-'));
const vsix = join(folder, 'guard.vsix');
after(() => rmSync(folder, { recursive: true }));

const vsce = [
  ...[join(root, 'node_modules', '@vscode', 'vsce', 'vsce'), 'package', '--no-dependencies', '--out', vsix],
  ...['--allow-missing-repository', '--no-rewrite-relative-links'],
];

/** The names in a zip file's central directory (APPNOTE.TXT 4.3.12). */
function zipEntries(file: string): string[] {
  const zip = readFileSync(file);
  const names: string[] = [];
  let at = zip.readUInt32LE(zip.lastIndexOf(Buffer.from('PK\x05\x06')) + 16);
  while (zip.readUInt32LE(at) === 0x02014b50) {
    const [name, extra, comment] = [zip.readUInt16LE(at + 28), zip.readUInt16LE(at + 30), zip.readUInt16LE(at + 32)];
    names.push(zip.toString('utf8', at + 46, at + 46 + name));
    at += 46 + name + extra + comment;
  }
  return names;
}

describe('the vsix', () => {
  execFileSync(process.execPath, vsce, { cwd: root, stdio: 'pipe' });

  it('holds what is on the allow-list and nothing else', () => {
    // Chunks are named by their content.
    const names = zipEntries(vsix).map((name) => name.replace(/(?<=-)[A-Z0-9]{8}(?=\.js$)/, 'HASH'));
    assert.deepEqual([...new Set(names)].sort(), [
      '[Content_Types].xml',
      'extension.vsixmanifest',
      'extension/LICENSE.txt',
      'extension/SECURITY.md',
      'extension/changelog.md',
      'extension/dist/connectorThread.js',
      'extension/dist/extension-addUser-HASH.js',
      'extension/dist/extension-checkMachine-HASH.js',
      'extension/dist/extension-choosePort-HASH.js',
      'extension/dist/extension-chunk-HASH.js',
      'extension/dist/extension-copyAddress-HASH.js',
      'extension/dist/extension-copyCaCertificate-HASH.js',
      'extension/dist/extension-copyCurl-HASH.js',
      'extension/dist/extension-copyForClient-HASH.js',
      'extension/dist/extension-createApiKey-HASH.js',
      'extension/dist/extension-editAccess-HASH.js',
      'extension/dist/extension-explainAccess-HASH.js',
      'extension/dist/extension-inviteTeammate-HASH.js',
      'extension/dist/extension-joinShared-HASH.js',
      'extension/dist/extension-leaveJoined-HASH.js',
      'extension/dist/extension-publicKeys-HASH.js',
      'extension/dist/extension-removeUser-HASH.js',
      'extension/dist/extension-replaceAuthority-HASH.js',
      'extension/dist/extension-resetPassword-HASH.js',
      'extension/dist/extension-revokeApiKey-HASH.js',
      'extension/dist/extension-revokeInvite-HASH.js',
      'extension/dist/extension-setExpiry-HASH.js',
      'extension/dist/extension-setExternalAccountKey-HASH.js',
      'extension/dist/extension-startSharing-HASH.js',
      'extension/dist/extension-switchUser-HASH.js',
      'extension/dist/extension.js',
      'extension/dist/guard-acme-HASH.js',
      'extension/dist/guard-auto-HASH.js',
      'extension/dist/guard-chunk-HASH.js',
      'extension/dist/guard-files-HASH.js',
      'extension/dist/guardThread.js',
      'extension/dist/hashThread.js',
      'extension/dist/join.css',
      'extension/dist/join.html',
      'extension/dist/join.js',
      'extension/docs/check.md',
      'extension/docs/clients.md',
      'extension/docs/fair-sharing.md',
      'extension/docs/roles.md',
      'extension/l10n/bundle.l10n.de.json',
      'extension/l10n/bundle.l10n.zh-cn.json',
      'extension/media/activity-bar.svg',
      'extension/media/icon.png',
      'extension/media/walkthrough/access.svg',
      'extension/media/walkthrough/check.svg',
      'extension/media/walkthrough/fair.svg',
      'extension/media/walkthrough/send.svg',
      'extension/media/walkthrough/start.svg',
      'extension/media/walkthrough/user.svg',
      'extension/package.json',
      'extension/package.nls.de.json',
      'extension/package.nls.json',
      'extension/package.nls.zh-cn.json',
      'extension/readme.md',
    ]);
  });

  it('is under its budget of 1 MB', () => {
    assert.ok(statSync(vsix).size < 1_000_000);
  });

  it('has an icon of 256 × 256 pixels', () => {
    const png = readFileSync(join(root, 'media', 'icon.png'));
    assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [256, 256]);
  });
});
