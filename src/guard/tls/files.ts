import type { OpenSource } from './source.ts';

export const openFiles: OpenSource<'files'> = async () => {
  throw new Error('not there yet');
};
