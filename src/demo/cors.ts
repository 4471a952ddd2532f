import type { IncomingMessage, ServerResponse } from 'node:http';

/** Origins that Ollama allows whatever it is told: local pages, desktop apps, browser extensions. */
const USUAL =
  /^(https?:\/\/(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d+)?$|(app|file|tauri|vscode-webview|vscode-file|(chrome|safari|safari-web|moz|ms-browser)-extension):\/\/)/;

/**
 * Ollama's rule for web pages (gin-contrib/cors): the demo's own pages pass, foreign ones meet a 403 without words.
 * Answers false when the request has been dealt with.
 */
export function applyCors(req: IncomingMessage, res: ServerResponse, everyOrigin: boolean): boolean {
  const { origin, host } = req.headers;
  if (!origin || origin === `http://${host}` || origin === `https://${host}`) return true;
  if (!everyOrigin && !USUAL.test(origin)) {
    res.writeHead(403, { 'Content-Length': 0 }).end();
    return false;
  }
  res.setHeader('Access-Control-Allow-Origin', everyOrigin ? '*' : origin);
  if (!everyOrigin) res.setHeader('Vary', 'Origin');
  if (req.method !== 'OPTIONS') return true;
  res.setHeader('Access-Control-Allow-Methods', 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS');
  res.setHeader('Access-Control-Allow-Headers', 'Authorization,Content-Type,User-Agent,Accept,X-Requested-With');
  res.setHeader('Access-Control-Max-Age', '43200');
  res.writeHead(204).end();
  return false;
}
