import { InvalidArgumentError, Option } from 'commander';
import { modelGlob } from '../guard/policy/policyDocument.ts';
import { parseWholeNumber } from '../guard/policy/wholeNumber.ts';
import { parseDuration } from '../guard/share/duration.ts';
import { defaultDataFolder } from './dataFolder.ts';

/** Where to listen. */
export interface Listen {
  readonly host: string;
  readonly port: number;
}

/** `HOST:PORT`, with an IPv6 address in brackets. */
export function parseListen(text: string): Listen {
  const [, ipv6, name, port] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(text) ?? [];
  const host = ipv6 ?? name;
  if (host === undefined) throw new InvalidArgumentError('Write HOST:PORT, such as 127.0.0.1:11435 or [::1]:11435.');
  return { host, port: Number(port) };
}

/** A whole number above zero. */
export function parsePositive(text: string): number {
  const number = parseWholeNumber(text);
  if (number === undefined) throw new InvalidArgumentError('Write a whole number above 0, of up to 15 digits.');
  return number;
}

/** A TCP port. */
export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new InvalidArgumentError('Write a port from 0 to 65535.');
  return port;
}

/** A whole number above zero, or `none`. */
export function parseLimit(text: string): number | 'none' {
  return text === 'none' ? text : parsePositive(text);
}

/** Names of models with commas between them, in which `*` and `?` stand for others. */
export function parseModels(text: string): readonly string[] {
  const globs = text.split(',').map((glob) => glob.trim());
  if (globs.includes('none')) {
    throw new InvalidArgumentError('No model is called none. To take the list away: --all-models (of user set).');
  }
  if (globs.every((glob) => modelGlob.safeParse(glob).success)) return globs;
  throw new InvalidArgumentError("Write names of models, such as 'llama3*,qwen*', in which * stands for anything.");
}

/** Milliseconds in a duration. */
export function parseLifetime(text: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds === undefined) throw new InvalidArgumentError('Write a time such as 12h, 30d or 2w.');
  return milliseconds;
}

/** Collects the values of an option that is given several times. */
export function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value];
}

/** Which data folder a command works on. */
export interface DataOption {
  readonly data: string;
}

/** `--data`. */
export function dataOption(): Option {
  // Commander takes an empty variable for a value, and an empty path is the current folder.
  const { OLLAMA_GUARD_DATA: folder } = process.env;
  return new Option('--data <folder>', 'the data folder, instead of OLLAMA_GUARD_DATA')
    .default(folder || defaultDataFolder())
    .argParser((value) => {
      if (value === '') throw new InvalidArgumentError('It is empty.');
      return value;
    });
}
