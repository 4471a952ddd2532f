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
  disableUser: 'ollamaGuard.disableUser',
  enableUser: 'ollamaGuard.enableUser',
  setExpiry: 'ollamaGuard.setExpiry',
  editAccess: 'ollamaGuard.editAccess',
  explainAccess: 'ollamaGuard.explainAccess',
  editPolicy: 'ollamaGuard.editPolicy',
  addPublicKey: 'ollamaGuard.addPublicKey',
  removePublicKey: 'ollamaGuard.removePublicKey',
  importPublicKeys: 'ollamaGuard.importPublicKeys',
  exportPublicKeys: 'ollamaGuard.exportPublicKeys',
  copyCurl: 'ollamaGuard.copyCurl',
  copyForClient: 'ollamaGuard.copyForClient',
  copyAddress: 'ollamaGuard.copyAddress',
  startSharing: 'ollamaGuard.startSharing',
  pauseSharing: 'ollamaGuard.pauseSharing',
  resumeSharing: 'ollamaGuard.resumeSharing',
  stopSharing: 'ollamaGuard.stopSharing',
  stopRequest: 'ollamaGuard.stopRequest',
  copyCaCertificate: 'ollamaGuard.copyCaCertificate',
  inviteTeammate: 'ollamaGuard.inviteTeammate',
  revokeInvite: 'ollamaGuard.revokeInvite',
  joinShared: 'ollamaGuard.joinShared',
  leaveJoined: 'ollamaGuard.leaveJoined',
  setExternalAccountKey: 'ollamaGuard.setExternalAccountKey',
  replaceAuthority: 'ollamaGuard.replaceAuthority',
  choosePort: 'ollamaGuard.choosePort',
  checkMachine: 'ollamaGuard.checkMachine',
  openSettings: 'ollamaGuard.openSettings',
  openWalkthrough: 'ollamaGuard.openWalkthrough',
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
  'tls',
  'tlsCertificate',
  'tlsKey',
  'acmeDomain',
  'acmeEmail',
  'acmeDirectory',
  'acmeDirectoryCa',
  'acmeChallenge',
  'acmeExternalAccount',
  'allowedHosts',
  'allowedOrigins',
  'maxBodyMiB',
  'policy',
  'logLevel',
] as const;

/** A setting's name in its section. */
export type SettingName = (typeof settingNames)[number];

/** What `when` and `enablement` clauses go by. */
export const contextKeys = {
  /** The guard's status. */
  status: 'ollamaGuard.status',
  /** `none`, `active` or `paused`. */
  sharing: 'ollamaGuard.sharing',
  hasUsers: 'ollamaGuard.hasUsers',
  hasJoined: 'ollamaGuard.hasJoined',
  /** Set to see whether the window takes it. */
  window: 'ollamaGuard.window',
} as const;

/** The walkthrough's steps, each with the context key that says that it is done. */
export const walkthroughSteps = {
  check: 'ollamaGuard.done.check',
  user: 'ollamaGuard.done.user',
  start: 'ollamaGuard.done.start',
  send: 'ollamaGuard.done.send',
  access: 'ollamaGuard.done.access',
  fair: 'ollamaGuard.done.fair',
} as const;

/** A step of the walkthrough. */
export type WalkthroughStep = keyof typeof walkthroughSteps;

/** The views of the side bar. */
export const views = {
  endpoint: 'ollamaGuard.endpoint',
  users: 'ollamaGuard.users',
  activity: 'ollamaGuard.activity',
  joined: 'ollamaGuard.joined',
} as const;

/** The walkthrough, by the extension's id and its own. */
export const walkthroughId = 'ollama-guard.ollama-guard#ollamaGuard.start';

/** The status bar item. */
export const statusItemId = 'ollamaGuard.status';
