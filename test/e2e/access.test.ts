/** Who may do what: Edit Access, Explain Access, public keys, and a policy that applies as soon as it is saved. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { basic, firstModel } from './client.ts';
import { type Settings, until } from './editor.ts';
import { GuardWindow } from './guardWindow.ts';
import { texts } from './texts.ts';

/** A line of `~/.ollama/id_ed25519.pub`. */
function publicKeyLine(comment: string): string {
  const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  const part = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  const blob = Buffer.concat([part(Buffer.from('ssh-ed25519')), part(Buffer.from(x, 'base64url'))]);
  return `ssh-ed25519 ${blob.toString('base64')} ${comment}`;
}

describe('access', () => {
  let guard: GuardWindow;
  let alice: Record<string, string>;
  let model: string;

  before(async () => {
    guard = await GuardWindow.open();
    await guard.workbench.openSideBar('Ollama Guard');
    alice = basic('alice', await guard.addUser('alice', 'member'));
    await guard.run('Start');
    await guard.expectStatus(texts.status.running);
    model = await firstModel(guard.demo.url);
  });
  after(() => guard?.close());
  afterEach((test) => guard.check(test));

  /** What the guard answers to what admins alone may do by the roles that are there anyway; 404 when it is let through. */
  async function manages(): Promise<number> {
    const body = JSON.stringify({ model: 'llama3-not-there' });
    return (await fetch(`${guard.url}/api/delete`, { method: 'DELETE', headers: alice, body })).status;
  }

  /** What the guard answers to who asks about the one model of the demo. */
  async function shows(): Promise<number> {
    const body = JSON.stringify({ model });
    return (await fetch(`${guard.url}/api/show`, { method: 'POST', headers: alice, body })).status;
  }

  /** Writes a policy in the editor that is open on the settings. */
  const writePolicy = (policy: Settings[string]): Promise<void> =>
    guard.replaceOpenSettings({ 'ollamaGuard.policy': policy });

  /** Writes one that is valid, and waits until the guard goes by it. */
  async function setPolicy(policy: Settings[string]): Promise<void> {
    const changes = (): number => guard.log().split('goes by the new policy').length - 1;
    const before = changes();
    await writePolicy(policy);
    await until('the policy is in force', async () => changes() > before);
  }

  /** Waits until the editor is open at the policy and offers what may stand there. */
  async function expectCompletion(): Promise<void> {
    await guard.policyOffered();
    await guard.shoot('policy-completion');
    await guard.workbench.page.keyboard.press('Escape');
  }

  /** Answers VS Code's own dialog for files, which lists a folder before it takes a name in it. */
  async function chooseFile(file: string): Promise<void> {
    const { workbench } = guard;
    await workbench.quickRows('..').waitFor();
    await workbench.quickField.fill(file);
    await workbench.quickRows('config.yaml').waitFor();
    await workbench.quickField.press('Enter');
  }

  /** Removes a user, who is picked when there are others. */
  async function removeUser(name: string): Promise<void> {
    const { workbench } = guard;
    await guard.run('Remove User');
    if (name !== 'alice') await workbench.pick(name);
    await workbench.confirm('Remove');
    await workbench
      .viewRows('Users', new RegExp(`^${name}`))
      .first()
      .waitFor({ state: 'detached' });
  }

  it('Edit Access gives another role, which counts from the next request on', async () => {
    const { workbench } = guard;
    assert.equal(await manages(), 403);
    await guard.run('Edit Access…');
    await workbench.pick('Role');
    await workbench.quickRows('member').getByText('now').waitFor();
    await guard.shoot('edit-access-role');
    await workbench.pick('admin');
    await workbench.quickRows('Role').getByText('admin').waitFor();
    assert.equal(await manages(), 404);
  });

  it('and models and limits of its own, which the Users view shows', async () => {
    const { workbench } = guard;
    assert.equal(await shows(), 200);
    await workbench.pick('Models');
    await guard.shoot('edit-access-models');
    await workbench.pick('Some models…');
    await workbench.quickField.fill('llama3*, no|model');
    await workbench.expectQuick('no|model is not the name of a model.');
    await workbench.enter('llama3*, qwen*');
    await workbench.quickRows('Models').getByText('llama3*, qwen*').waitFor();
    assert.equal(await shows(), 403);
    await workbench.pick('Limits');
    await workbench.pick('Requests per minute');
    await workbench.quickField.fill('-1');
    await workbench.expectQuick('whole number');
    await workbench.enter('9000');
    await workbench.quickRows('Requests per minute').getByText('9,000').waitFor();
    await guard.shoot('edit-access-limits');
    await workbench.page.keyboard.press('Escape');
    await workbench.quickRows('Limits').getByText('Requests per minute: 9,000').waitFor();
    await guard.shoot('edit-access');
    await workbench.dismiss();

    const hover = workbench.page.locator('.monaco-hover:visible').filter({ hasText: 'Models: llama3*, qwen*' });
    for (const theme of ['light', 'dark'] as const) {
      await workbench.theme(theme);
      await workbench.viewRows('Users', 'alice').hover();
      await hover.filter({ hasText: 'Requests per minute: 9,000' }).waitFor();
      await guard.shoot('users-restricted', [theme]);
      await workbench.page.mouse.move(800, 300);
      await hover.waitFor({ state: 'hidden' });
    }
  });

  it('Explain Access says no, by which rule', async () => {
    const { workbench } = guard;
    await guard.run('Explain Access…');
    await workbench.quickRows('Chat by the OpenAI API').waitFor();
    await guard.shoot('explain-access');
    await workbench.pick('POST /api/chat');
    await workbench.pick(model);
    const answer = await workbench.toastText(/No, alice may not/);
    assert.match(
      answer,
      /alice is told: 403 You may not use this model here\. Ask the owner of this endpoint\. Decided by users\.alice\.models\.allow: llama3\*, qwen\*\.$/,
    );
    await guard.shoot('explain-access-no');
    await workbench.toastButton('No, alice may not', 'Show Rules');
    await workbench.quickRows('This rule decided').getByText('users.alice.models.allow').waitFor();
    await guard.shoot('explain-access-rules');
    await workbench.dismiss();
  });

  it('and yes', async () => {
    const { workbench } = guard;
    await workbench.clearToasts();
    await guard.run('Explain Access…');
    await workbench.quickField.fill('Another');
    await workbench.pick('Another request…');
    await workbench.enter('GET /api/ps');
    assert.match(await workbench.toastText(/Yes, alice may/), /Decided by roles\.admin\.can/);
    await workbench.clearToasts();
  });

  it('a policy applies as soon as it is saved, without a restart', async () => {
    const { workbench } = guard;
    await guard.run('Edit Policy');
    await expectCompletion();
    await setPolicy({ roles: { admin: { can: ['read'] }, 'ci-bots': { can: ['read', 'infer'] } } });
    await until('admins do no more than read', async () => (await manages()) === 403);
    assert.equal(await workbench.toasts().count(), 0);
  });

  it('its roles can be given', async () => {
    const { workbench } = guard;
    await guard.run('Edit Access…');
    await workbench.pick('Role');
    await workbench.quickRows('ci-bots').getByText('Sees and uses the models').waitFor();
    await workbench.quickRows('admin').getByText('Sees the models').waitFor();
    await workbench.page.keyboard.press('Escape');
    await workbench.quickRows('Role').waitFor();
    await workbench.dismiss();
  });

  it('one that is not valid is refused with its place, and the one before stays', async () => {
    const { workbench } = guard;
    await writePolicy({ roles: { admin: { can: ['fly'] } } });
    const said = await workbench.toastText(/The policy before stays in force/);
    assert.match(said, /ollamaGuard\.policy\.roles\.admin\.can\.0: /);
    assert.equal(await workbench.toasts().count(), 1, 'one message');
    assert.equal(await manages(), 403);
    await guard.shoot('policy-invalid');
    await workbench.toastButton(/The policy before/, 'Edit Policy');
    await expectCompletion();
    await workbench.clearToasts();

    await setPolicy({});
    await until('admins manage again', async () => (await manages()) === 404);
    await workbench.command('View: Close All Editors');
  });

  it('a public key is pasted, shown below its user, and removed', async () => {
    const { workbench } = guard;
    await guard.run('Add Public Key…');
    await workbench.quickField.fill('ssh-rsa AAAA');
    await workbench.expectQuick('begins with ssh-ed25519');
    await workbench.enter(publicKeyLine('alice@laptop'));
    await workbench.toastText('Added a public key for alice');
    await workbench.clearToasts();
    await workbench.viewRows('Users', 'alice').first().locator('.monaco-tl-twistie').click();
    const row = workbench.viewRows('Users', /alice@laptop.*public key, never used/);
    await row.waitFor();
    await guard.shoot('users-public-key');

    await workbench.rowAction(row, 'Remove Public Key');
    await workbench.confirm('Remove');
    await workbench.toastText('Removed public key alice@laptop');
    await row.waitFor({ state: 'detached' });
    await workbench.clearToasts();
  });

  it('public keys are taken from a file, and written to one', async () => {
    const { workbench } = guard;
    const { root } = guard.window.editor;
    const from = path.join(root, 'authorized_keys');
    const to = path.join(root, 'exported_keys');
    const line = publicKeyLine('alice laptop');
    const ofBob = publicKeyLine('bob');
    writeFileSync(
      from,
      `# keys\n${line}\n${publicKeyLine('')}\n${ofBob}\n${publicKeyLine('carl ci')}\nssh-rsa AAAA dora\n`,
    );
    await guard.run('Import Public Keys…');
    await chooseFile(from);
    await workbench.expectQuick('Role of bob, carl');
    await guard.shoot('import-public-keys');
    await workbench.pick('viewer');
    const said = await workbench.toastText(/Added 3 public keys\. Added 2 users\./);
    assert.match(said, /Line 6 was left out\. .+ The key "" was left out: no user name stands after it\.$/);
    await workbench.viewRows('Users', /carl.*viewer/).waitFor();
    await workbench.clearToasts();

    await guard.run('Export Public Keys…');
    await chooseFile(to);
    await workbench.toastText('Exported the public keys');
    const [first, second, third, ...rest] = readFileSync(to, 'utf8').split('\n');
    assert.deepEqual([first, second], [line, ofBob]);
    assert.match(third ?? '', /^ssh-ed25519 \S+ carl ci$/);
    assert.deepEqual(rest, ['']);
    await workbench.clearToasts();
  });

  it('public keys make the first users, too', async () => {
    const { workbench } = guard;
    for (const name of ['bob', 'carl', 'alice']) await removeUser(name);
    await workbench.clearToasts();
    const from = path.join(guard.window.editor.root, 'authorized_keys');
    writeFileSync(from, publicKeyLine('erin'));
    await guard.run('Import Public Keys…');
    await chooseFile(from);
    await workbench.expectQuick('Role of erin');
    await workbench.pick('member');
    await workbench
      .viewRows('Users', /erin.*member/)
      .first()
      .waitFor();
    await workbench.clearToasts();
  });

  it('Disable User shuts out a name of nobody in the list, where people come by token', async () => {
    const { workbench } = guard;
    await guard.run('Edit Policy');
    await expectCompletion();
    await setPolicy({ issuers: [{ issuer: 'https://login.example.org', audience: ['gpu'], defaultRole: 'member' }] });
    await workbench.command('View: Close All Editors');
    await guard.run('Disable User');
    await workbench.quickRows('erin').waitFor();
    await guard.shoot('disable-user-another');
    await workbench.pick('Another name…');
    await workbench.quickField.fill('ERIN');
    await workbench.expectQuick('There is a user ERIN already.');
    await workbench.quickField.fill('a b');
    await workbench.expectQuick('A user name is');
    await workbench.enter('zoe');
    await workbench.toastText('zoe is let in no more, until enabled again.');
    await workbench.viewRows('Users', /zoe.*viewer, disabled/).waitFor();
    await workbench.clearToasts();
  });
});
