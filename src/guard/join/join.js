// @ts-check
// The page at /_guard/join, in the browser of whoever is invited.

/**
 * What a link says: see share/inviteLink.ts.
 * @typedef {object} Invite
 * @property {string} code
 * @property {string} user
 * @property {boolean} isFromHere whether its link leads to this page
 * @property {string | undefined} caSha256
 */

/**
 * What the invite was exchanged for: see join/answer.ts.
 * @typedef {object} Joined
 * @property {string} user
 * @property {string} apiKey
 * @property {string} [expiresAt]
 * @property {readonly { id: string, name: string }[]} shells
 * @property {readonly { id: string, name: string, note?: string, text: Readonly<Record<string, string>> }[]} clients
 */

/**
 * An element of join.html.
 * @template {HTMLElement} [Kind=HTMLElement]
 * @param {string} id
 * @param {new () => Kind} [kind]
 * @returns {Kind}
 */
function part(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof (kind ?? HTMLElement))) throw new Error(`${id} is missing`);
  return /** @type {Kind} */ (element);
}

const sections = ['invited', 'joined', 'refused'];

/**
 * Shows one section alone, and goes on reading there.
 * @param {'invited' | 'joined' | 'refused'} name
 */
function show(name) {
  for (const section of sections) part(section).hidden = section !== name;
  const title = part(`${name}-title`);
  document.title = `${title.textContent} - Ollama Guard`;
  title.focus();
}

/**
 * @param {string} title
 * @param {string} words
 */
function refuse(title, words) {
  part('refused-title').textContent = title;
  part('refused-words').textContent = words;
  show('refused');
}

/**
 * @param {string} fragment
 * @returns {Invite | undefined} undefined when it is none
 */
function readInvite(fragment) {
  try {
    const payload = JSON.parse(new TextDecoder().decode(bytesOf(fragment)));
    const { v, a, c: code, u: user, f } = payload;
    if (v !== 1 || !/^oi_[a-z2-9]{10}_[A-Za-z0-9_-]{22}$/.test(code)) return undefined;
    if (!/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/.test(user)) return undefined;
    const isFromHere = Array.isArray(a) && a.includes(location.origin);
    return { code, user, isFromHere, caSha256: f === undefined ? undefined : hexOf(bytesOf(f)) };
  } catch {
    return undefined;
  }
}

/** @param {string} base64url */
function bytesOf(base64url) {
  const text = atob(base64url.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** @param {Uint8Array} bytes */
function hexOf(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join(':');
}

/** Ends what waits for a click on a page that has gone on to something else. */
let present = new AbortController();

/**
 * What a click on a button does, as long as the page shows what it shows now.
 * @param {string} id
 * @param {() => void} act
 */
function onClick(id, act) {
  part(id).addEventListener('click', act, { signal: present.signal });
}

/** Reads the link, and takes the invite out of the address bar and the history. */
function begin() {
  const link = location.href;
  const fragment = location.hash.slice(1);
  history.replaceState(null, '', location.pathname);
  present.abort();
  present = new AbortController();
  const invite = readInvite(fragment);
  if (invite === undefined) {
    refuse(
      'There is no invite in this link',
      'Open the link that you were sent once more. If you copied it, copy all of it, what follows the # included.',
    );
    return;
  }
  part('invited-user').textContent = invite.user;
  part('invited-address').textContent = location.origin;
  part('not-encrypted').hidden = location.protocol === 'https:' || isThisComputer(location.hostname);
  part('trouble').hidden = true;
  setBusy(false);
  // A link that leads elsewhere than to this page is not vouched for by it.
  part('open-editor').hidden = !invite.isFromHere;
  part('open-editor', HTMLAnchorElement).href = `vscode://ollama-guard.ollama-guard/join#${fragment}`;
  copies('copy-link', 'Link', () => link);
  onClick('redeem', () => void redeem(invite));
  show('invited');
}

/** @param {string} host */
function isThisComputer(host) {
  return host === 'localhost' || host === '[::1]' || /^127\./.test(host);
}

/** @param {boolean} busy */
function setBusy(busy) {
  const button = part('redeem');
  button.ariaDisabled = String(busy);
  button.textContent = busy ? 'Getting your key…' : 'Show my key';
}

/**
 * Exchanges the invite for a key. Asked for by a click alone: programs that look at links must not use it up.
 * @param {Invite} invite
 */
async function redeem(invite) {
  if (part('redeem').ariaDisabled === 'true') return;
  const { signal } = present;
  setBusy(true);
  part('trouble').hidden = true;
  const answer = await exchange(invite.code);
  if (signal.aborted) return;
  if ('joined' in answer) {
    showKey(answer.joined, invite);
    return;
  }
  if (answer.isFinal) {
    refuse('This invite cannot be used', answer.words);
    return;
  }
  setBusy(false);
  part('trouble').textContent = answer.words;
  part('trouble').hidden = false;
}

/**
 * @param {string} code
 * @returns {Promise<{ readonly joined: Joined } | { readonly words: string, readonly isFinal: boolean }>}
 */
async function exchange(code) {
  try {
    const response = await fetch(location.pathname, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code }),
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
      // The page's own policy would make its Origin "null" in some browsers, which is nobody's.
      referrerPolicy: 'same-origin',
      signal: AbortSignal.timeout(30_000),
    });
    const answer = await response.json();
    if (response.ok) return { joined: answer };
    const seconds = response.headers.get('retry-after');
    const wait = seconds === null ? '' : ` Wait ${seconds} seconds.`;
    return { words: `${answer.error}${wait}`, isFinal: response.status === 403 };
  } catch {
    return {
      words:
        'The endpoint did not answer. Make sure that you are in its network and that it is being shared, then try again. ' +
        'If it says then that the invite was used, ask for a new one.',
      isFinal: false,
    };
  }
}

/** Whether the key was copied, or never shown. */
let isKept = true;

/**
 * @param {Joined} joined
 * @param {Invite} invite
 */
function showKey({ user, apiKey, expiresAt, shells, clients }, { caSha256 }) {
  isKept = false;
  part('joined-user').textContent = user;
  part('joined-end').textContent =
    expiresAt === undefined
      ? ''
      : `It works until ${new Date(expiresAt).toLocaleString('en', { dateStyle: 'long', timeStyle: 'short' })}.`;
  part('key').textContent = apiKey;
  part('address').textContent = location.origin;
  copies('copy-key', 'API key', () => apiKey);
  copies('copy-address', 'Address', () => location.origin);

  const program = part('program', HTMLSelectElement);
  const shell = part('shell', HTMLSelectElement);
  fill(program, clients);
  fill(shell, shells);
  shell.value = /^Win/.test(navigator.platform) ? 'powershell' : 'bash';
  const snippet = part('snippet', HTMLTextAreaElement);
  const chosen = () => clients.find(({ id }) => id === program.value);
  const choose = () => {
    snippet.value = chosen()?.text[shell.value] ?? '';
    snippet.rows = snippet.value.split('\n').length;
    part('note').textContent = chosen()?.note ?? '';
  };
  program.addEventListener('change', choose, { signal: present.signal });
  shell.addEventListener('change', choose, { signal: present.signal });
  choose();
  copies('copy-snippet', 'Text', () => snippet.value);

  part('certificate').hidden = caSha256 === undefined;
  part('digest').textContent = caSha256 ?? '';
  copies('copy-digest', 'SHA-256', () => caSha256 ?? '');
  show('joined');
}

/**
 * @param {HTMLSelectElement} select
 * @param {readonly { id: string, name: string }[]} choices
 */
function fill(select, choices) {
  select.replaceChildren(...choices.map(({ id, name }) => new Option(name, id)));
}

/**
 * Makes a button copy a text.
 * @param {string} id
 * @param {string} what
 * @param {() => string} read
 */
function copies(id, what, read) {
  const button = part(id);
  const label = id === 'copy-link' ? 'Copy the link' : 'Copy';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let back;
  onClick(id, async () => {
    const copied = await copy(read());
    if (copied && (id === 'copy-key' || id === 'copy-snippet')) isKept = true;
    button.textContent = copied ? 'Copied' : 'Select and copy it by hand';
    part('said').textContent = copied ? `${what} copied` : 'The browser does not let this page copy';
    clearTimeout(back);
    back = setTimeout(() => {
      button.textContent = label;
      part('said').textContent = '';
    }, 2_500);
  });
}

/**
 * @param {string} text
 * @returns {Promise<boolean>} whether it was copied
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without encryption there is no such clipboard.
    return copyFromField(text);
  }
}

/** @param {string} text */
function copyFromField(text) {
  const before = document.activeElement;
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'unseen';
  part('said').before(field);
  field.select();
  const copied = document.execCommand('copy');
  field.remove();
  if (before instanceof HTMLElement) before.focus();
  return copied;
}

addEventListener('beforeunload', (event) => {
  if (!isKept) event.preventDefault();
});
// Another link that is opened in the same tab.
addEventListener('hashchange', begin);
begin();
