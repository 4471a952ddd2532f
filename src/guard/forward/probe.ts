import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

/**
 * Whether Ollama answers at an address.
 *
 * @param timeoutMs for the whole probe.
 */
export function upstreamAnswers(upstream: string, timeoutMs: number): Promise<boolean> {
  const url = new URL('/api/version', upstream);
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const req = request(url, { agent: false, signal: AbortSignal.timeout(timeoutMs) }, (res) => {
      res.resume();
      resolve(res.statusCode === 200);
    });
    req.on('error', () => resolve(false));
    req.end();
  });
}
