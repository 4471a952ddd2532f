import type { OpenSource } from './source.ts';

export const openAcme: OpenSource<'acme'> = async () => {
  throw new Error('not there yet');
};
