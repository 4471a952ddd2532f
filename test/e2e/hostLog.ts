/** Reads the log of an extension host: whose the errors in it are. */

/** Errors that VS Code 1.139 logs about itself when a window reloads or goes; no other extension has a hand in them. */
const vscodeItself: readonly RegExp[] = [
  // A built-in extension: the JSON one logs to its channel after that was closed.
  /\/lib\/vscode\/extensions\//,
  // A view that was being drawn when its window went: VS Code's own call into that window.
  /Unable to refresh tree view \S+: Canceled/,
  // The extension host's connection to a window that went, which VS Code listens to. One of an extension that nobody
  // listens to is marked (spdlogShim.cjs).
  /\[error\] Error: (?:read|write) ECONNRESET\n(?![\s\S]*(?:\/dist\/|at nobody who caught it))/,
  // The lock file of the workspace's storage, when the old extension host still holds or just wrote it.
  /vscode\.lock/,
  /SyntaxError: Unexpected end of JSON input\n\s+at JSON\.parse \(<anonymous>\)\n\s+at \w+ \(\S+extensionHostProcess\.js/,
];

/** The errors in an extension host's log that are not VS Code's own, each with its stack. */
export function errorsOfExtensions(log: string): string[] {
  return log
    .trimEnd()
    .split(/\n(?=\d{4}-\d\d-\d\d )/)
    .filter((entry) => entry.includes('[error]') && !vscodeItself.some((noise) => noise.test(entry)));
}
