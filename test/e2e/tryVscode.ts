/**
 * `npm run try:vscode`: opens the packaged extension in VS Code for a person. The editor is for a browser on this
 * computer, a demo Ollama stands behind it, and everything is gone after Ctrl+C.
 */
import { once } from 'node:events';
import { packageGuard } from './project.ts';
import { orExplain, setupEditor } from './setup.ts';

await orExplain(async () => {
  setupEditor();
  console.log('Packaging the extension …');
  packageGuard();

  // Loaded only now: they need what was just installed.
  const { Editor } = await import('./editor.ts');
  const { guardVsix } = await import('./project.ts');
  const { startDemoOllama } = await import('../../src/demo/demoOllama.ts');

  const demo = await startDemoOllama();
  const editor = await Editor.start({ extensions: [guardVsix], settings: { 'ollamaGuard.upstream': demo.url } });
  console.log(`
VS Code with Ollama Guard:  ${editor.url}
Demo Ollama behind it:      ${demo.url}

Open the first address in a browser on this computer, press F1 and run "Ollama Guard: Start".
Ctrl+C ends it and leaves nothing behind.`);

  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await editor.stop();
  await demo.stop();
});
