import type { OpenSource } from './source.ts';

export const openAuto: OpenSource<'auto'> = async () => {
  throw new Error('not there yet');
};
