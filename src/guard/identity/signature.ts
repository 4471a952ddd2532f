/** A signature as the ollama command line sends it with `OLLAMA_AUTH=1`, read and not verified. */
export interface Signature {
  /** The base64 of the public key, as `~/.ollama/id_ed25519.pub` has it after the type. */
  readonly publicKey: string;
  readonly signature: Buffer;
  /** What was signed: `METHOD,/path?ts=N`. */
  readonly text: string;
  /** When, in seconds since the epoch. */
  readonly at: number;
}
