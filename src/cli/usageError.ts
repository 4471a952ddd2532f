/** The command was called in a way it cannot work with; exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
