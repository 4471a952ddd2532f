/**
 * Makes the Python that the clients in `requirements.txt` run in, once: a virtual environment in `.python` beside this
 * file. `npm test` does so; alone it is `node test/clients/python.ts`.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const requirements = join(import.meta.dirname, 'requirements.txt');
const environment = join(import.meta.dirname, '.python');
const stamp = join(environment, '.stamp');
const scripts = join(environment, process.platform === 'win32' ? 'Scripts' : 'bin');
const python = join(scripts, process.platform === 'win32' ? 'python.exe' : 'python');
const systemPython = process.platform === 'win32' ? 'python' : 'python3';

/** A computer that has no Python with these clients, with what shows it. */
class NoPythonError extends Error {}

function attempt(advice: string, program: string, ...args: readonly string[]): void {
  try {
    execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (cause) {
    throw new NoPythonError(`${advice} Try: ${[program, ...args].join(' ')}`, { cause });
  }
}

/** Debian keeps the module for virtual environments in a package of its own. */
function installVenv(): void {
  const check = () =>
    attempt(
      'No Python 3 that makes virtual environments (on Debian: apt-get install python3-venv).',
      systemPython,
      '-m',
      'ensurepip',
      '--version',
    );
  try {
    check();
  } catch (error) {
    if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) throw error;
    const apt = '/usr/bin/apt-get';
    attempt('No Python 3, and no Debian packages.', apt, '-qq', 'update');
    attempt('No Python 3, and no Debian packages.', apt, '-qq', 'install', '--yes', 'python3', 'python3-venv');
    check();
  }
}

const wanted = readFileSync(requirements, 'utf8');
const isReady = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;

/**
 * Makes it when it is not there, or when the requirements have changed.
 *
 * @throws NoPythonError when there is no Python 3, or pip cannot fetch the clients.
 */
function setupPython(): void {
  if (isReady()) return;

  installVenv();
  rmSync(stamp, { force: true });
  rmSync(environment, { recursive: true, force: true });
  mkdirSync(environment);
  writeFileSync(join(environment, '.gitignore'), '*\n');
  attempt('No virtual environment.', systemPython, '-m', 'venv', environment);
  // Wheels alone: nothing is compiled, and no package's own code runs while it is installed.
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--only-binary', ':all:'];
  const once = ['--retries', '3', '--timeout', '15', '--no-compile', '--no-deps'];
  attempt('pip cannot fetch the Python clients.', python, ...pip, ...once, '--requirement', requirements);
  writeFileSync(stamp, wanted);
}

/** Makes it before tests run, which is once for all their processes; says why when it cannot. In CI that is a failure. */
export function preparePython(): void {
  try {
    setupPython();
  } catch (error) {
    if (process.env.CI || !(error instanceof NoPythonError)) throw error;
    console.error(`tests: ${error.message}`);
  }
}

/**
 * The Python to run, or for a test's `skip` how to get one. It makes none: test files run in processes of their own at
 * once, and one would take away what another works with.
 */
export function findPython(): { readonly python: string; readonly skip: string | false } {
  if (isReady()) return { python, skip: false };
  return { python: '', skip: 'needs the Python clients: node test/clients/python.ts' };
}

if (import.meta.main) {
  preparePython();
  if (isReady()) console.log(python);
  else process.exitCode = 1;
}
