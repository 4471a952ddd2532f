/** Every name and word of the extension that these tests go by, in one place. */

/** The extension's id. */
export const extensionId = 'ollama-guard.ollama-guard';

/** Its status bar item. */
export const statusItemId = 'ollamaGuard.status';

/** A command as the palette shows it. */
export function command(title: string): string {
  return `Ollama Guard: ${title}`;
}

/** Words of its user interface. */
export const texts = {
  status: {
    stopped: /is stopped/,
    running: /running/i,
    failed: /failed/i,
    exposed: /Others can reach it/,
    elsewhere: /Another window runs it/,
    here: /running at \S+ in front/,
  },
  addUser: {
    name: 'name',
    generate: 'Generate a password',
    type: 'Type a password',
    again: 'again',
    differ: 'differ',
    taken: 'already',
    passwordFor: (name: string) => `Password for ${name}`,
    added: (name: string) => `Added ${name}`,
  },
  copyCurl: {
    newKey: 'New API key',
    askPassword: 'Ask for the password',
    done: (name: string) => `Copied a curl command for ${name}`,
  },
  apiKey: {
    label: 'label',
    keyFor: (name: string) => `API key for ${name}`,
    revoked: (label: string) => `Revoked API key ${label}`,
  },
  revoke: 'Revoke',
  removeUser: {
    confirm: 'Remove',
    done: (name: string) => `Removed ${name}`,
  },
  portTaken: {
    useAnother: 'Use Another Port',
    retry: 'Retry',
    prompt: 'The port to listen on',
    range: 'from 1 to 65535',
  },
  memoryOnly: {
    warning: /secret storage fails/,
    row: 'Secret storage fails',
  },
  noUsers: /there is no user yet/,
  showLog: 'Show Log',
} as const;
