/** Each piece takes some hundred bytes of memory beside its own. So only a few may be shorter than this. */
const shortPiece = 1_024;
const fewPieces = 16;
const blockBytes = 16 * 1_024;

const nothing = Buffer.alloc(0);

/** Bytes that arrive in pieces. A client that sends them one by one takes little more memory than others. */
export class Pieces {
  readonly #parts: Buffer[] = [];
  #length = 0;
  /** Short pieces are copied into this, one behind the other. */
  #block = nothing;
  #used = 0;
  /** Where in the block begins what is not among the parts yet. */
  #from = 0;

  /** How many bytes there are. */
  get length(): number {
    return this.#length;
  }

  add(piece: Buffer): void {
    this.#length += piece.length;
    if (piece.length < shortPiece && this.#parts.length >= fewPieces) {
      this.#copy(piece);
      return;
    }
    this.#flush();
    this.#parts.push(piece);
  }

  /** The bytes in order, when all of them are there. */
  parts(): readonly Buffer[] {
    this.#flush();
    return this.#parts;
  }

  #copy(piece: Buffer): void {
    if (this.#used + piece.length > this.#block.length) {
      this.#flush();
      this.#block = Buffer.allocUnsafeSlow(blockBytes);
      this.#used = 0;
      this.#from = 0;
    }
    this.#used += piece.copy(this.#block, this.#used);
  }

  #flush(): void {
    if (this.#used > this.#from) this.#parts.push(this.#block.subarray(this.#from, this.#used));
    this.#from = this.#used;
  }
}
