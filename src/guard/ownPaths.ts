/** What the guard answers itself, beside the pages of `join/pages.ts`. */
interface OwnPath {
  readonly path: string;
  readonly methods: readonly string[];
}

const reads: readonly string[] = ['GET', 'HEAD'];

/** What everyone is answered, signed in or not. Every `ollama` command begins with the heartbeat. */
const publicPaths = {
  heartbeat: { path: '/', methods: ['HEAD'] },
  health: { path: '/_guard/health', methods: reads },
} as const satisfies Record<string, OwnPath>;

/** An answer that everyone gets. */
export type PublicAnswer = keyof typeof publicPaths;

const publicAnswers = Object.entries(publicPaths) as readonly (readonly [PublicAnswer, OwnPath])[];

/** Which of the public answers a request gets; undefined when it gets none. */
export function publicAnswer(method: string, path: string): PublicAnswer | undefined {
  return publicAnswers.find(([, own]) => own.path === path && own.methods.includes(method))?.[0];
}

/** Where the queue is shown to whoever is signed in, whatever the role, and the methods that this takes. */
export const queuePath = '/_guard/queue';
export const queueMethods = reads;
