import type { TokenEstimate } from '../admission/types.ts';
import type { TokenCount } from './tokenCounter.ts';

/** What a model is thought to write in a second while nobody counts: a fast one on a good GPU. */
const tokensPerSecond = 100;

const milliseconds = () => performance.now();

/** What a charge goes by. */
export interface ChargePorts {
  /** Told once, when the request is over, what it used. */
  readonly onSettled: (tokens: number) => void;
  /** Milliseconds; replaced in tests. */
  readonly now?: () => number;
}

/**
 * What one request has used, in tokens: Ollama's own numbers, and estimates where it gave none. It is settled when both
 * the client and Ollama are done with it. One that never ran is free; one whose client left before the answer began is
 * not, or everybody's would be. Neither is the time that a client let go by without a token before it left: Ollama says
 * nothing while it writes a tool call.
 */
export class Charge {
  readonly #onSettled: (tokens: number) => void;
  readonly #now: () => number;
  #sent: (TokenEstimate & { readonly at: number }) | undefined;
  #isAnswering = false;
  #count: TokenCount | undefined;
  /** Whether the client left while Ollama was still answering. */
  #hasLeft = false;
  /** Whether the client got an answer to its end; undefined while it is there. */
  #wasAnswered: boolean | undefined;
  #isSettled = false;

  constructor({ onSettled, now = milliseconds }: ChargePorts) {
    this.#onSettled = onSettled;
    this.#now = now;
  }

  /** The request is on its way to Ollama. */
  sent(estimate: TokenEstimate): void {
    this.#sent = { ...estimate, at: this.#now() };
  }

  /** Ollama has begun to answer. Call what it gives with what was counted, when the answer is over or cut. */
  answering(): (count: TokenCount) => void {
    this.#isAnswering = true;
    return (count) => {
      this.#count = count;
      this.#hasLeft = this.#wasAnswered === false;
      this.#settle();
    };
  }

  /** The client is done. @param wasAnswered whether all of an answer, of Ollama's or of the guard's own, was written. */
  closed(wasAnswered: boolean): void {
    this.#wasAnswered = wasAnswered;
    this.#settle();
  }

  #settle(): void {
    if (this.#isSettled || this.#wasAnswered === undefined || (this.#isAnswering && this.#count === undefined)) return;
    this.#isSettled = true;
    this.#onSettled(this.used);
  }

  /** What it used as far as that is known by now. */
  get used(): number {
    if (this.#sent === undefined) return 0;
    const { prompt, output, at } = this.#sent;
    const meanwhile = Math.min(output, Math.ceil(tokensIn(this.#now() - at)));
    // The guard answered in Ollama's place: it was not there, or failed.
    if (this.#count === undefined) return this.#wasAnswered ? 0 : prompt + meanwhile;
    const { prompt: read = prompt, output: written = meanwhile, silentMs = 0 } = this.#count;
    // When Ollama itself broke off, nobody knows whether it was at work until then.
    const unseen = this.#hasLeft ? Math.min(Math.max(0, output - written), Math.floor(tokensIn(silentMs))) : 0;
    return read + written + unseen;
  }
}

function tokensIn(milliseconds: number): number {
  return (milliseconds / 1_000) * tokensPerSecond;
}
