import { workspace } from 'vscode';
import * as z from 'zod/mini';
import { type GuardConfig, MiB, parseConfig } from '../guard/config.ts';
import { GuardError } from '../guard/errors.ts';
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

/** @throws GuardError `config-invalid`, naming the setting. */
export function readGuardConfig(): GuardConfig {
  const mebibytes = read('maxBodyMiB');
  try {
    return parseConfig({
      host: read('host'),
      port: read('port'),
      upstream: read('upstream'),
      allowedHosts: read('allowedHosts'),
      allowedOrigins: read('allowedOrigins'),
      maxBodyBytes: typeof mebibytes === 'number' ? Math.round(mebibytes * MiB) : mebibytes,
    });
  } catch (error) {
    if (!GuardError.is(error, 'config-invalid')) throw error;
    const { text, args } = error.detail;
    const field = `${settingsSection}.${args.field}`.replace('maxBodyBytes', 'maxBodyMiB');
    throw new GuardError(error.code, text, { args: { ...args, field } });
  }
}
