import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { env } from 'vscode';

/** Folders of `argv.json`, by the name of the editor: https://code.visualstudio.com/docs/configure/command-line */
const folders: Readonly<Record<string, string>> = {
  'Visual Studio Code': '.vscode',
  'Visual Studio Code - Insiders': '.vscode-insiders',
  VSCodium: '.vscode-oss',
};

/** The `password-store` of VS Code's `argv.json`: `basic` is weak encryption. Undefined when it is not set. */
export async function passwordStore(): Promise<string | undefined> {
  const file = join(homedir(), folders[env.appName] ?? '.vscode', 'argv.json');
  const text = await readFile(file, 'utf8').catch(() => '');
  // JSON with comments; a line that is commented out does not count.
  return /^\s*"password-store"\s*:\s*"([\w-]+)"/m.exec(text)?.[1];
}
