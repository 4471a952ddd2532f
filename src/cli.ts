#!/usr/bin/env node
const needed = [22, 15] as const;
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < needed[0] || (major === needed[0] && minor < needed[1])) {
  process.stderr.write(`ollama-guard needs Node ${needed.join('.')} or later; this is ${process.versions.node}.\n`);
  process.exitCode = 1;
} else {
  // Loaded only now: an older Node would stumble over imports it does not have, before it could say so.
  const { main } = await import('./cli/main.ts');
  await main();
}
