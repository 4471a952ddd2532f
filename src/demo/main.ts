import { parseArgs } from 'node:util';
import { startDemoOllama } from './demoOllama.ts';

const USAGE = `usage: node src/demo/main.ts [--host 127.0.0.1] [--port 0] [--tokens-per-second 0] [--first-token-delay MS] [--tokens N]
`;

/** Runs the demo Ollama by itself until SIGTERM or SIGINT. Exit codes: 1 failure, 2 usage. */
async function main(args: readonly string[]): Promise<void> {
  const demo = await startDemoOllama(optionsOf(args));
  process.stdout.write(`demo Ollama listening on ${demo.url}\n`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void demo.stop());
}

function optionsOf(args: readonly string[]): Parameters<typeof startDemoOllama>[0] {
  const { values } = parseArgs({
    args: [...args],
    options: {
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '0' },
      'tokens-per-second': { type: 'string', default: '0' },
      'first-token-delay': { type: 'string', default: '0' },
      tokens: { type: 'string' },
    },
  });
  return {
    host: values.host,
    port: Number(values.port),
    tokensPerSecond: Number(values['tokens-per-second']),
    firstTokenDelayMs: Number(values['first-token-delay']),
    ...(values.tokens === undefined ? {} : { tokens: Number(values.tokens) }),
  };
}

try {
  await main(process.argv.slice(2));
} catch (cause) {
  const usage = cause instanceof RangeError || cause instanceof TypeError;
  process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n${usage ? USAGE : ''}`);
  process.exitCode = usage ? 2 : 1;
}
