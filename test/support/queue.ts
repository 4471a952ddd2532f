import type { QueueView } from '../../src/guard/admission/queueView.ts';
import { get } from './asks.ts';
import type { TestGuard } from './guard.ts';
import { type Person, team } from './people.ts';

/** The queue as somebody sees it; whoever manages Ollama sees all of it. */
export async function queueAt(guard: TestGuard, person: Person = team.adam): Promise<QueueView> {
  return JSON.parse((await guard.call(get(person, '/_guard/queue'))).text);
}

/** Asks for the queue until it is as described: a request that was sent takes a moment until it is there. */
export async function untilQueue(guard: TestGuard, check: (view: QueueView) => boolean): Promise<QueueView> {
  for (;;) {
    const view = await queueAt(guard);
    if (check(view)) return view;
  }
}
