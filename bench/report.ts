import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Machine, noisyShare } from './machine.ts';
import type { ProfileSummary } from './profile.ts';
import { judge, type Measurement, type Row, type Table, type Verdict } from './row.ts';
import { median, number, percent, spread } from './stats.ts';

/** A row and what came of it; `failure` when it could not be measured. */
export interface Outcome {
  readonly row: Row;
  readonly measurement: Measurement | undefined;
  readonly failure: string | undefined;
  /** The share (0 to 1) of the two cores that other programs took in the rounds that count. */
  readonly others: number;
}

/** Everything that is reported. */
export interface Run {
  readonly when: Date;
  readonly seconds: number;
  readonly machine: Machine;
  readonly outcomes: readonly Outcome[];
  readonly profiles: readonly ProfileSummary[];
  /** Why this run is no evidence, such as `--quick`. */
  readonly partial: string | undefined;
}

/** Writes REPORT.md and REPORT.json. */
export async function writeReport(folder: string, run: Run): Promise<void> {
  await writeFile(join(folder, 'REPORT.md'), markdown(run));
  await writeFile(join(folder, 'REPORT.json'), `${JSON.stringify(json(run), undefined, 2)}\n`);
}

/** One line for each budget: what, the measured median and the verdict. */
export function summary(run: Run): string[] {
  const lines = verdicts(run).map(({ what, measured, verdict }) => `${what}: ${measured} – ${verdict.words}`);
  return [...lines, ...noise(run.outcomes)].map((line) => line.replaceAll('**', ''));
}

interface Judged {
  readonly row: Row;
  readonly what: string;
  readonly budget: string;
  readonly measured: string;
  readonly verdict: Verdict;
}

function verdicts({ outcomes }: Run): Judged[] {
  return outcomes.flatMap(({ row, measurement, others }) =>
    row.budgets.map((budget) => {
      const samples = measurement?.samples[budget.name] ?? [];
      const unit = budget.unit === '' ? '' : ` ${budget.unit}`;
      const limit = budget.limit.toLocaleString('en-US');
      return {
        row,
        what: budget.what,
        budget: `${{ 'at least': '≥', 'at most': '≤', below: '<' }[budget.sense]} ${limit}${unit}`,
        measured: samples.length === 0 ? '–' : `${spread(samples)}${unit}`,
        verdict: judge(budget, samples, others > noisyShare),
      };
    }),
  );
}

function markdown(run: Run): string {
  const { when, seconds, machine, outcomes, profiles, partial } = run;
  const judged = verdicts(run);
  const count = (status: Verdict['status']): number => judged.filter(({ verdict }) => verdict.status === status).length;
  const rest = [
    [count('missed'), 'not met'],
    [count('undecided'), 'undecided'],
    [count('unmeasured'), 'not measured'],
  ] as const;
  return `${[
    '# Benchmarks',
    `Written by \`npm run bench\` (${when.toISOString().slice(0, 16).replace('T', ' ')} UTC, ${number(seconds)} s, commit ` +
      `${machine.commit}). The budgets are those of the design; every ratio compares measurements of this one run, round ` +
      'by round. A number is the median of its rounds, with the lowest and the highest in parentheses.',
    ...(partial === undefined ? [] : [`**This is no evidence: ${partial}.**`]),
    `**${[
      `${count('met')} of ${judged.length} budgets met`,
      ...rest.filter(([budgets]) => budgets > 0).map(([budgets, words]) => `${budgets} ${words}`),
    ].join(', ')}.**`,
    formatTable({
      head: ['what', 'must be', 'measured', ''],
      lines: judged.map(({ what, budget, measured, verdict }) => [what, budget, measured, verdict.words]),
    }),
    ...noise(outcomes),
    '## The machine',
    machineText(machine),
    ...outcomes.flatMap(section),
    ...profiles.flatMap(profileSection),
  ].join('\n\n')}\n`;
}

function noise(outcomes: readonly Outcome[]): string[] {
  const disturbed = outcomes.filter(({ others }) => others > noisyShare);
  if (disturbed.length === 0) return [];
  const list = disturbed.map(({ row, others }) => `${row.name} ${percent(others)}`).join(', ');
  return [
    `**Other programs were busy meanwhile, so run it again. Their share of the two cores: ${list}.** Where rounds do not ` +
      'agree whether a budget is met, it is undecided.',
  ];
}

function section({ row, measurement, failure }: Outcome): string[] {
  return [
    `## ${row.title}`,
    row.method,
    ...(failure === undefined ? [] : [`**Not measured:** ${failure}`]),
    ...(measurement?.tables ?? []).filter(({ lines }) => lines.length > 0).map(formatTable),
    ...(measurement?.notes ?? []),
  ];
}

function profileSection({ load, failure, threads }: ProfileSummary): string[] {
  return [
    `## Where the time goes: ${load}`,
    'CPU profiles of the guard, built unminified, taken apart from the measurements above. Shares of the time under load in ' +
      'which the thread was not idle; (program) is native code, most of it the kernel.',
    ...(failure === undefined ? [] : [`**No profile:** ${failure}`]),
    ...threads.flatMap(({ name, busyMs, areas, functions }) => [
      `### ${name}, ${number(busyMs)} ms busy`,
      formatTable({ head: ['area', 'self'], lines: areas.map(({ name: area, share }) => [area, percent(share, 1)]) }),
      formatTable({
        head: ['function', 'self'],
        lines: functions.map(({ name: what, share }) => [what, percent(share, 1)]),
      }),
    ]),
  ];
}

function machineText(machine: Machine): string {
  const { proxyCore, loadCore, programs } = machine;
  const pinned =
    proxyCore === undefined
      ? 'Nothing could be pinned to a core here, so proxies, load and upstream compete.'
      : proxyCore === loadCore
        ? 'There is one core only, so proxies, load and upstream compete.'
        : `Each proxy is pinned to core ${proxyCore} (all threads of it), load and upstream to core ${loadCore}.`;
  const versions = Object.entries(programs).map(([name, version]) => `${name} ${version ?? 'missing'}`);
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB; ${machine.system}; Node ${machine.node}; ` +
      `${versions.join(', ')}. Load average before the run: ${machine.loadBefore.toFixed(2)}.`,
    pinned,
  ].join(' ');
}

function formatTable({ head, lines }: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...lines.map(line)].join('\n');
}

function json(run: Run): unknown {
  const { when, seconds, machine, outcomes, profiles, partial } = run;
  return {
    when: when.toISOString(),
    seconds: Math.round(seconds),
    ...(partial === undefined ? {} : { partial }),
    machine,
    rows: outcomes.map(({ row, measurement, failure, others }) => ({
      name: row.name,
      title: row.title,
      others: Number.isFinite(others) ? Number(others.toFixed(3)) : undefined,
      ...(failure === undefined ? {} : { failure }),
      budgets: row.budgets.map((budget) => {
        const samples = measurement?.samples[budget.name] ?? [];
        return {
          ...budget,
          value: median(samples),
          status: judge(budget, samples, others > noisyShare).status,
          samples,
        };
      }),
      tables: measurement?.tables ?? [],
      notes: measurement?.notes ?? [],
    })),
    profiles,
  };
}
