import { join } from 'node:path';
import { type Joined, joinedList } from '../connector/joined.ts';
import { DataFile } from './dataFile.ts';

/** `joined.json` in the data folder: endpoints of others, with their API keys. */
export class JoinedFile extends DataFile<Joined> {
  /** @param folder an existing data folder. */
  constructor(folder: string) {
    super(join(folder, 'joined.json'), 'joined', (entries) => joinedList.parse(entries));
  }
}
