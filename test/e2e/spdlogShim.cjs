// Stands in for @vscode/spdlog (a native module, not built here), so that VS Code writes its log files, and marks in them
// what nobody caught. setup.ts copies it.
const fs = require('node:fs');
const path = require('node:path');

const levels = ['trace', 'debug', 'info', 'warning', 'error', 'critical', 'off'];

class Logger {
  #file;
  #level = levels.indexOf('info');
  #raw = false;

  constructor(file) {
    this.#file = file;
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.appendFileSync(file, '');
  }

  #write(level, text) {
    if (level < this.#level) return;
    const line = this.#raw ? text : `${new Date().toISOString().replace('T', ' ')} [${levels[level]}] ${text}\n`;
    try {
      fs.appendFileSync(this.#file, line);
    } catch {
      // The log folder may be gone when the editor ends.
    }
  }

  trace = (text) => this.#write(0, text);
  debug = (text) => this.#write(1, text);
  info = (text) => this.#write(2, text);
  warn = (text) => this.#write(3, text);
  error = (text) => this.#write(4, text);
  critical = (text) => this.#write(5, text);

  getLevel() {
    return this.#level;
  }

  setLevel(level) {
    this.#level = level;
  }

  setPattern() {
    this.#raw = false;
  }

  clearFormatters() {
    this.#raw = true;
  }

  flush() {}

  drop() {}
}

// An extension host logs what nobody caught as it logs what VS Code's own listeners heard of. A lost connection has no
// frames to tell whose it was: only one of an extension ends up here.
if (process.argv.includes('--type=extensionHost')) {
  const mark = (error) => {
    if (error instanceof Error) error.stack += '\n    at nobody who caught it';
  };
  process.on('uncaughtExceptionMonitor', mark);
  process.on('unhandledRejection', mark);
}

const create = async (_name, file) => new Logger(file);

// One assignment per name: VS Code imports this file from ESM, which sees no other form.
exports.version = 0;
exports.setLevel = () => {};
exports.setFlushOn = () => {};
exports.Logger = class extends Logger {
  constructor(_type, _name, file) {
    super(file);
  }
};
exports.createRotatingLogger = create;
exports.createAsyncRotatingLogger = create;
