import { extname } from 'node:path';

/**
 * The files that run as threads. They stand beside this one as TypeScript, and beside the bundle this becomes part of
 * as JavaScript.
 */
const entry = (name: string): URL => new URL(`./${name}${extname(import.meta.url)}`, import.meta.url);

/** The guard thread's file. */
export const guardThreadEntry = entry('guardThread');

/** The hash thread's file. */
export const hashThreadEntry = entry('hashThread');

/** The connector thread's file. */
export const connectorThreadEntry = entry('connectorThread');
