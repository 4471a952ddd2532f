import { commands, type ExtensionContext, Uri } from 'vscode';
import type { CommandContext } from './commands/context.ts';
import { settingsSection, walkthroughId } from './ids.ts';
import { forgetAuthority } from './secretVault.ts';
import type { Walkthrough } from './walkthrough.ts';

/** What commands need of VS Code and of this extension beside the guard. */
export function createCommandContext(
  extension: ExtensionContext,
  parts: Pick<CommandContext, 'guard' | 'upstream' | 'log' | 'vault'> & { readonly walkthrough: Walkthrough },
): CommandContext {
  const { walkthrough, ...common } = parts;
  return {
    ...common,
    extensionId: extension.extension.id,
    forgetAuthority: () => forgetAuthority(extension.secrets, extension.globalState),
    done: (step) => walkthrough.done(step),
    openDocs: async (page, heading = '') => {
      const uri = Uri.joinPath(extension.extensionUri, 'docs', `${page}.md`).with({ fragment: slug(heading) });
      await commands.executeCommand('markdown.showPreview', uri);
    },
    openSettings: async (name) => {
      const query = name === undefined ? `@ext:${extension.extension.id}` : `${settingsSection}.${name}`;
      await commands.executeCommand('workbench.action.openSettings', query);
    },
    openPolicy: async () => {
      const revealSetting = { key: `${settingsSection}.policy`, edit: true };
      await commands.executeCommand('workbench.action.openSettingsJson', { revealSetting });
    },
    openWalkthrough: async () => {
      await commands.executeCommand('workbench.action.openWalkthrough', walkthroughId, false);
    },
  };
}

/** A heading's anchor, as Markdown renderers make it. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\s-]/g, '')
    .replace(/\s+/g, '-');
}
