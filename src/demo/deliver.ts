import { type Answer, answerText, tokenText } from './answer.ts';
import { type Call, sendJson } from './call.ts';
import type { Model } from './catalogue.ts';
import { Refusal } from './refusal.ts';

/** How one dialect writes an answer down. Streams call `token` for each token in order, then `end`. */
export interface Form {
  readonly streamHeaders: Readonly<Record<string, string>>;
  readonly token: (text: string, index: number) => string;
  readonly end: () => string;
  /** Content type and value of an answer that is not streamed. */
  readonly wholeType: string;
  readonly whole: (text: string) => object;
}

/** How an answer is to be given. */
export interface Delivery {
  readonly model: Model;
  readonly stream: boolean;
  /** Milliseconds that the model stays loaded afterwards; undefined is Ollama's default. */
  readonly keepAliveMs?: number | undefined;
}

/** Gives an answer at the demo's pace, as a stream or whole, and keeps the model loaded meanwhile. */
export async function deliver(call: Call, answer: Answer, form: Form, delivery: Delivery): Promise<void> {
  const { demo, res } = call;
  demo.catalogue.load(delivery.model);
  if (delivery.stream) {
    res.writeHead(200, form.streamHeaders);
    await demo.pacer.stream(res, answer.tokens + 1, (index) =>
      index < answer.tokens ? form.token(tokenText(index), index) : form.end(),
    );
  } else if (await demo.pacer.wait(res, answer.tokens)) {
    sendJson(res, form.whole(answerText(answer)), form.wholeType);
  }
  demo.catalogue.load(delivery.model, delivery.keepAliveMs);
}

/** Finds a model that can generate text. Refuses one that only embeds, in Ollama's words for `task`. */
export function findGenerator(call: Call, raw: string, task: 'chat' | 'generate'): Model {
  const model = call.demo.catalogue.find(raw);
  if (!model.capabilities.includes('completion')) throw new Refusal(400, `"${raw}" does not support ${task}`);
  return model;
}

/** A JSON value as a server-sent event, named when the dialect names its events. */
export function sse(data: object, event?: string): string {
  const head = event === undefined ? '' : `event: ${event}\n`;
  return `${head}data: ${JSON.stringify(data)}\n\n`;
}

/** The content type of both `/v1` streams. */
export const SSE = 'text/event-stream';
