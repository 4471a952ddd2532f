/**
 * `npm run try:vscode`: opens the packaged extension in VS Code for a person. The editor is for a browser on this
 * computer, a demo Ollama stands behind it, and everything is gone after Ctrl+C.
 */
import { once } from 'node:events';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { guardVsix, packageGuard } from './project.ts';
import { orExplain, setupEditor } from './setup.ts';

await orExplain(async () => {
  // From here on, so that nothing stays behind when somebody changes their mind half-way.
  const ended = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), once(process, 'SIGHUP')]);
  setupEditor();
  console.log('Packaging the extension …');
  packageGuard();

  // Loaded only now: what it needs has just been installed.
  const { Editor } = await import('./editor.ts');
  const demo = await startDemoOllama();
  const editor = await Editor.start({ extensions: [guardVsix], settings: { 'ollamaGuard.upstream': demo.url } });
  console.log(`
VS Code with Ollama Guard:  ${editor.url}
Demo Ollama behind it:      ${demo.url}

Open the first address in a browser on this computer, press F1 and run "Ollama Guard: Start".
Ctrl+C ends it and leaves nothing behind.`);

  await ended;
  await editor.stop();
  await demo.stop();
});
