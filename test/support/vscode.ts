/** Stands in for VS Code's own module, which is there in an extension host alone, for what is imported after this. */
import { registerHooks } from 'node:module';

/** English, with `{0}` placeholders filled in; what a theme draws stays as it was given. */
const source = `
export const env = { language: 'en' };
export const l10n = { t: (text, ...args) => text.replace(/\\{(\\d+)\\}/g, (_, n) => String(args[n])) };
export const workspace = {};
`;

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'vscode' ? { url: 'vscode:stand-in', shortCircuit: true } : next(specifier, context),
  load: (url, context, next) =>
    url === 'vscode:stand-in' ? { format: 'module', source, shortCircuit: true } : next(url, context),
});
