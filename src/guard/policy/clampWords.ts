import { counted } from '../share/counted.ts';
import type { Rule } from './decision.ts';

/** What a clamp permits, by its place in the clamps of a role. */
const permits: Readonly<Record<string, (says: string) => string>> = {
  'clamps.keepAlive.max': (says) => `a keep_alive of ${says} at most`,
  'clamps.keepAlive.min': (says) => `a keep_alive of ${says} at least`,
  'clamps.contextTokens': (says) => `a context (num_ctx) of ${counted(Number(says), 'token')}`,
  'clamps.outputTokens': (says) => `an answer of ${counted(Number(says), 'token')}`,
  'clamps.images': (says) => counted(Number(says), 'image'),
  'clamps.imageBytes': (says) => `${counted(Number(says), 'byte')} of images`,
  'clamps.options': (says) => (says === '' ? 'no options' : `these options: ${says.split(' ').join(', ')}`),
};

/** What whoever asks for too much is told; undefined for a rule that bounds nothing. */
export function clampLimit({ place, says }: Rule): string | undefined {
  return permits[place]?.(says);
}
