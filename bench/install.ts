import { hasProgram, type Processes } from './processes.ts';

const wanted = ['caddy', 'nginx', 'wrk'] as const;

/** Installs what is missing to compare with, where apt-get can; says so where it cannot, and the bench does without. */
export async function installPeers(processes: Processes, say: (line: string) => void): Promise<void> {
  const missing = wanted.filter((program) => !hasProgram(program));
  if (missing.length === 0) return;
  const privileged = process.getuid?.() === 0 ? [] : hasProgram('sudo') ? ['sudo', '-n'] : undefined;
  if (!hasProgram('apt-get') || privileged === undefined) {
    say(`Without ${missing.join(', ')}: there is no apt-get, or no right to use it.`);
    return;
  }
  say(`Installing ${missing.join(', ')} with apt-get.`);
  const apt = async (...args: string[]): Promise<void> => {
    // RUNLEVEL=1 keeps the packages from starting their services: only this bench's own instances may run.
    const command = [...privileged, 'env', 'DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1', 'apt-get', '-qq', ...args];
    await processes.run(command[0] ?? 'env', command.slice(1), { timeoutMs: 120_000 });
  };
  const install = (program: string): Promise<void> => apt('install', '-y', '--no-install-recommends', program);
  try {
    await apt('update');
  } catch {
    // The lists that are there may do; if not, the install says what is wrong.
  }
  for (const program of missing) {
    try {
      await install(program);
    } catch (error) {
      say(`Without ${program}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
