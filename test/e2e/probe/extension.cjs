// Test only. Its commands run on the extension host's main thread, where every extension's code runs. What they found
// goes to probe.jsonl in its global storage, a line each, so that a test reads facts rather than notifications.
const { appendFileSync, mkdirSync } = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const vscode = require('vscode');

exports.activate = (context) => {
  const folder = context.globalStorageUri.fsPath;
  mkdirSync(folder, { recursive: true });
  const record = (facts) => appendFileSync(path.join(folder, 'probe.jsonl'), `${JSON.stringify(facts)}\n`);
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

  context.subscriptions.push(
    vscode.commands.registerCommand('probe.get', get),
    vscode.commands.registerCommand('probe.tick', tick),
    vscode.commands.registerCommand('probe.block', block),
  );
};
