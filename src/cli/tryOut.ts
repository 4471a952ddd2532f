import { startDemoOllama } from '../demo/demoOllama.ts';
import { parseConfig } from '../guard/config.ts';
import { GuardError } from '../guard/errors.ts';
import { upstreamAnswers } from '../guard/forward/probe.ts';
import { addApiKey, addUser } from '../guard/identity/users.ts';
import { curlCommand } from '../guard/share/curl.ts';
import { defaultShell } from '../guard/share/shell.ts';
import { createMemoryVault } from '../guard/tls/vault.ts';
import { serve } from './serve.ts';
import type { Terminal } from './terminal.ts';

const probeTimeoutMs = 1_000;
const host = '127.0.0.1';

/**
 * `ollama-guard try`: a guard that keeps nothing, with one user, in front of Ollama or else of the built-in demo.
 * Takes another port when the usual one is in use: nobody has its address yet.
 */
export async function tryOut(terminal: Terminal, ollama: string, port: number): Promise<void> {
  // Before it is asked: an address that is none has a sentence there.
  parseConfig({ host, port, upstream: ollama });
  const demo = (await upstreamAnswers(ollama, probeTimeoutMs))
    ? undefined
    : await startDemoOllama({ tokensPerSecond: 20 });
  terminal.say(
    demo === undefined
      ? `Trying Ollama Guard in front of the Ollama at ${ollama}. Nothing is stored; Ctrl+C ends it.`
      : `Trying Ollama Guard in front of a built-in demo, because no Ollama answers at ${ollama}. Nothing is stored; Ctrl+C ends it.`,
  );
  const { users, text } = addApiKey(addUser([], 'you', 'member', undefined), 'you', 'try');
  const run = (listenPort: number) =>
    serve({
      config: parseConfig({ host, port: listenPort, upstream: demo?.url ?? ollama }),
      users,
      logFormat: 'pretty',
      terminal,
      vault: createMemoryVault(),
      redeemInvite: async () => {},
      onListening: async ({ url }) => {
        terminal.out(`listening on ${url}`);
        terminal.say('Paste this into another shell; without the key it answers 401:');
        terminal.out(curlCommand(url, { apiKey: text }, defaultShell(process.platform)));
        return { onTls: () => {}, done: async () => {} };
      },
    });
  try {
    await run(port).catch((error: unknown) => {
      if (!GuardError.is(error, 'address-in-use')) throw error;
      terminal.say(`Port ${port} is in use, so this takes another one.`);
      return run(0);
    });
  } finally {
    await demo?.stop();
  }
}
