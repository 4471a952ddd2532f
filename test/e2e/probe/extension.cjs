// Test only. Its commands run on the extension host's main thread, where every extension's code runs. What they found
// goes to probe.jsonl in its global storage, a line each, so that a test reads facts rather than notifications.
const { once } = require('node:events');
const { appendFileSync, mkdirSync } = require('node:fs');
const http = require('node:http');
const { connect, createServer } = require('node:net');
const path = require('node:path');
const vscode = require('vscode');

/** The files of a folder that is on no disk, probefs:/project, by path. */
const files = new Map([
  ['/project/.vscode/settings.json', '{ "window.title": "on no disk", "ollamaGuard.autoStart": true }'],
]);

const noPermission = () => {
  throw vscode.FileSystemError.NoPermissions();
};

const virtualFiles = {
  onDidChangeFile: () => new vscode.Disposable(() => undefined),
  watch: () => new vscode.Disposable(() => undefined),
  stat(uri) {
    const content = files.get(uri.path);
    const times = { ctime: 0, mtime: 0 };
    if (content !== undefined) return { type: vscode.FileType.File, size: content.length, ...times };
    if (namesIn(uri).length === 0) throw vscode.FileSystemError.FileNotFound(uri);
    return { type: vscode.FileType.Directory, size: 0, ...times };
  },
  readDirectory: (uri) => namesIn(uri).map((name) => [name, virtualFiles.stat(vscode.Uri.joinPath(uri, name)).type]),
  readFile(uri) {
    const content = files.get(uri.path);
    if (content === undefined) throw vscode.FileSystemError.FileNotFound(uri);
    return Buffer.from(content);
  },
  createDirectory: noPermission,
  writeFile: noPermission,
  delete: noPermission,
  rename: noPermission,
};

/** The names of what is in a folder. */
function namesIn(uri) {
  const start = uri.path.replace(/\/?$/, '/');
  const inside = [...files.keys()].filter((file) => file.startsWith(start));
  return [...new Set(inside.map((file) => file.slice(start.length).split('/')[0]))];
}

exports.activate = (context) => {
  const storage = context.globalStorageUri.fsPath;
  mkdirSync(storage, { recursive: true });
  const record = (facts) => appendFileSync(path.join(storage, 'probe.jsonl'), `${JSON.stringify(facts)}\n`);
  const ask = (prompt) => vscode.window.showInputBox({ prompt });

  // GETs a URL with the `http` that VS Code gives to extensions.
  const get = async () => {
    const url = await ask('URL');
    const request = http.get(url, (response) => {
      response.resume().on('end', () => record({ did: 'get', url, status: response.statusCode }));
    });
    request.on('error', (error) => record({ did: 'get', url, status: 0, error: error.message }));
  };

  // Serves an answer that says something every 10 ms: what a stream looks like that passes through this thread.
  const tick = () => {
    const server = http.createServer((_request, response) => {
      const pulse = setInterval(() => response.write('tick\n'), 10);
      response.on('close', () => clearInterval(pulse));
    });
    server.listen(0, '127.0.0.1', () => record({ did: 'tick', port: server.address().port }));
    context.subscriptions.push({
      dispose() {
        server.closeAllConnections();
        server.close();
      },
    });
  };

  // Holds the thread, several times, as an extension does that reads a file synchronously or waits for a process.
  const block = async () => {
    const [times, milliseconds] = (await ask('TIMES MILLISECONDS')).split(' ').map(Number);
    const nothing = new Int32Array(new SharedArrayBuffer(4));
    for (let i = 0; i < times; i++) {
      Atomics.wait(nothing, 0, 0, milliseconds);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    record({ did: 'block', times });
  };

  // Loses a connection that it does not listen to for errors, and one behind a promise that it does not wait for.
  const lose = () => {
    const server = createServer((socket) => socket.once('data', () => socket.resetAndDestroy()));
    server.listen(0, '127.0.0.1', () => {
      const [unheard, awaited] = [1, 2].map(() => connect(server.address().port, '127.0.0.1'));
      once(awaited, 'end');
      for (const socket of [unheard, awaited]) socket.write('go');
      record({ did: 'lose' });
    });
    context.subscriptions.push({ dispose: () => server.close() });
  };

  // Tells which folder is open. Only there while VS Code takes that for a virtual one.
  const folder = () => record({ did: 'folder', url: vscode.workspace.workspaceFolders?.[0]?.uri.toString() });

  context.subscriptions.push(
    vscode.workspace.registerFileSystemProvider('probefs', virtualFiles, { isReadonly: true }),
    vscode.commands.registerCommand('probe.folder', folder),
    vscode.commands.registerCommand('probe.get', get),
    vscode.commands.registerCommand('probe.tick', tick),
    vscode.commands.registerCommand('probe.block', block),
    vscode.commands.registerCommand('probe.lose', lose),
  );
};
