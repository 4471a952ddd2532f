import { parseArgs } from 'node:util';

/** What the person asked for on the command line. */
export interface Options {
  /** Shorter rounds and fewer of them: does everything run? Its numbers are no evidence. */
  readonly quick: boolean;
  /** Names of rows; empty means all. */
  readonly only: readonly string[];
  /** Take CPU profiles even when every budget is met. */
  readonly profile: boolean;
  /** Install what is missing with apt-get. */
  readonly install: boolean;
  /** Another build of the command line to measure, for comparing two versions. */
  readonly guard: string | undefined;
  readonly help: boolean;
}

/** The help text; `rows` are the names that `--only` takes. */
export function usage(rows: readonly string[]): string {
  return `npm run bench -- [options]

Measures the budgets of Ollama Guard beside Caddy and nginx and writes bench/REPORT.md and bench/REPORT.json.
A run that is not whole (--quick, --only, --guard) writes to bench/out/ instead.

  --quick        a smoke run, under 3 minutes
  --only NAME    one row (repeatable): ${rows.join(', ')}
  --profile      CPU profiles of the guard, into bench/profiles/; taken by itself where a budget is not met
  --no-install   do not install Caddy, nginx and wrk with apt-get when they are missing
  --guard FILE   measure another build's cli.js
`;
}

/** Reads the command line; throws an `Error` with a sentence when it makes no sense. */
export function readOptions(args: readonly string[], rows: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      profile: { type: 'boolean', default: false },
      'no-install': { type: 'boolean', default: false },
      guard: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const only = values.only.flatMap((names) => names.split(',')).filter((name) => name !== '');
  const unknown = only.filter((name) => !rows.includes(name));
  if (unknown.length > 0) {
    throw new Error(`There is no row "${unknown.join(', ')}". Rows: ${rows.join(', ')}.`);
  }
  return {
    quick: values.quick,
    only,
    profile: values.profile,
    install: !values['no-install'],
    guard: values.guard,
    help: values.help,
  };
}
