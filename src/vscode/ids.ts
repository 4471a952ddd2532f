/** Every id the manifest knows, once. test/contract compares them with package.json. */
export const commands = {
  start: 'ollamaGuard.start',
  stop: 'ollamaGuard.stop',
  restart: 'ollamaGuard.restart',
  toggle: 'ollamaGuard.toggle',
  addUser: 'ollamaGuard.addUser',
  removeUser: 'ollamaGuard.removeUser',
  resetPassword: 'ollamaGuard.resetPassword',
  createApiKey: 'ollamaGuard.createApiKey',
  revokeApiKey: 'ollamaGuard.revokeApiKey',
  copyCurl: 'ollamaGuard.copyCurl',
  showLog: 'ollamaGuard.showLog',
} as const;

/** The id of a command. */
export type CommandId = (typeof commands)[keyof typeof commands];

/** The section of every setting. */
export const settingsSection = 'ollamaGuard';

/** Every setting's name in its section. */
export const settingNames = [
  'host',
  'port',
  'upstream',
  'autoStart',
  'allowedHosts',
  'allowedOrigins',
  'maxBodyMiB',
  'logLevel',
] as const;

/** A setting's name in its section. */
export type SettingName = (typeof settingNames)[number];

/** Holds the guard's status for `when` and `enablement` clauses. */
export const statusContextKey = 'ollamaGuard.status';

/** The status bar item. */
export const statusItemId = 'ollamaGuard.status';
