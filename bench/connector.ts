/**
 * Stands in for a teammate's computer: opens the connector of a joined endpoint on its thread, as the extension and
 * `ollama-guard join` do. Tells its port, and ends with its parent.
 */
import { readFile } from 'node:fs/promises';
import { joinedList } from '../src/connector/joined.ts';
import { ConnectorHost } from '../src/threads/connectorHost.ts';

const [joinedFile = ''] = process.argv.slice(2);
const [joined] = joinedList.parse(JSON.parse(await readFile(joinedFile, 'utf8')));
if (joined === undefined) throw new Error('nothing is joined');
const host = new ConnectorHost({ onLink: () => undefined });
const { url } = await host.open(joined);

process.on('disconnect', () => process.exit());
process.send?.({ port: Number(new URL(url).port) });
