/**
 * For the bench: how long extensions take to activate, as VS Code itself counts it. Opens the packaged extension in a
 * window and sends `{ ready: 0 }` to the process that started this one. For each message from there it starts a new
 * extension host and answers with milliseconds by extension name. Ends with that process.
 */
import { EditorWindow, until } from './editor.ts';
import { guardVsix } from './project.ts';
import { extensionId, statusItemId } from './texts.ts';

process.once('disconnect', () => process.exit());

const names = process.argv.slice(2);
const { workbench } = await EditorWindow.open({ extensions: [guardVsix] });
const status = workbench.statusItem(extensionId, statusItemId);
await status.waitFor();
// The list holds as many rows as are in view, and the quickest extensions come last.
await workbench.page.setViewportSize({ width: 1120, height: 2_000 });

async function measure(): Promise<Readonly<Record<string, number>>> {
  await workbench.reload();
  await status.waitFor();
  await workbench.command('Developer: Show Running Extensions');
  return await until('activation times', async () => {
    const times = await workbench.activationTimes();
    return names.every((name) => name in times) && times;
  });
}

process.on('message', async () => process.send?.(await measure()));
process.send?.({ ready: 0 });
