import { workspace } from 'vscode';
import * as z from 'zod/mini';
import { type GuardConfig, MiB, parseConfig } from '../guard/config.ts';
import { GuardError } from '../guard/errors.ts';
import { type PolicyDocument, parsePolicy } from '../guard/policy/policyDocument.ts';
import { type SettingName, settingsSection } from './ids.ts';

/** What the log shows: `debug` adds a line for every request. */
export type LogLevel = 'error' | 'info' | 'debug';

/**
 * A setting as the user set it for this computer. A workspace must not change what is exposed; the manifest's scopes
 * say so, and because scopes have been bypassable (https://github.com/microsoft/vscode/issues/330310), nothing but the
 * user's own value is looked at (SEC-75).
 */
function read(name: SettingName): unknown {
  const values = workspace.getConfiguration(settingsSection).inspect(name);
  return values?.globalValue ?? values?.defaultValue;
}

const autoStart = z.boolean();
const logLevel = z.enum(['error', 'info', 'debug']);

/** Whether the guard starts with VS Code. Anything but a plain yes is a no. */
export function readAutoStart(): boolean {
  const value = autoStart.safeParse(read('autoStart'));
  return value.success && value.data;
}

/** How much is logged. */
export function readLogLevel(): LogLevel {
  const value = logLevel.safeParse(read('logLevel'));
  return value.success ? value.data : 'info';
}

/** How the settings say to encrypt, as far as they say anything. What is left empty is not set. */
function readTls(): unknown {
  const mode = read('tls');
  const given = (name: SettingName) => read(name) || undefined;
  switch (mode) {
    case 'files':
      return { mode, certificate: read('tlsCertificate'), key: read('tlsKey') };
    case 'acme':
      return {
        mode,
        domain: read('acmeDomain'),
        email: given('acmeEmail'),
        directory: given('acmeDirectory'),
        directoryCa: given('acmeDirectoryCa'),
        challenge: read('acmeChallenge'),
        externalAccount: given('acmeExternalAccount'),
      };
    default:
      return { mode };
  }
}

/** Settings that are called otherwise in a configuration. */
const settingOf: Readonly<Record<string, SettingName>> = {
  maxBodyBytes: 'maxBodyMiB',
  'tls.mode': 'tls',
  'tls.certificate': 'tlsCertificate',
  'tls.key': 'tlsKey',
  'tls.domain': 'acmeDomain',
  'tls.email': 'acmeEmail',
  'tls.directory': 'acmeDirectory',
  'tls.directoryCa': 'acmeDirectoryCa',
  'tls.challenge': 'acmeChallenge',
  'tls.externalAccount': 'acmeExternalAccount',
};

/** Whether a policy is written at all, valid or not. */
export function hasPolicy(): boolean {
  return Object.keys(Object(read('policy'))).length > 0;
}

/** @throws GuardError `policy-invalid`, naming the setting and the place in it. */
export function readPolicy(): PolicyDocument {
  try {
    return parsePolicy(read('policy'));
  } catch (error) {
    if (!GuardError.is(error, 'policy-invalid')) throw error;
    const { text, args } = error.detail;
    const place = args.place === 'policy' ? 'policy' : `policy.${args.place}`;
    throw new GuardError(error.code, text, { args: { ...args, place: `${settingsSection}.${place}` } });
  }
}

/** @throws GuardError `config-invalid` and `policy-invalid`, naming the setting. */
export function readGuardConfig(): GuardConfig {
  const mebibytes = read('maxBodyMiB');
  try {
    return parseConfig({
      host: read('host'),
      port: read('port'),
      upstream: read('upstream'),
      allowedHosts: read('allowedHosts'),
      allowedOrigins: read('allowedOrigins'),
      tls: readTls(),
      // Programs on this computer need no certificate for what never leaves it.
      plainOnLoopback: true,
      policy: readPolicy(),
      maxBodyBytes: typeof mebibytes === 'number' ? Math.round(mebibytes * MiB) : mebibytes,
    });
  } catch (error) {
    if (!GuardError.is(error, 'config-invalid')) throw error;
    const { text, args } = error.detail;
    const name = String(args.field);
    const field = `${settingsSection}.${settingOf[name] ?? name}`;
    throw new GuardError(error.code, text, { args: { ...args, field } });
  }
}
