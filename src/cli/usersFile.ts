import { join } from 'node:path';
import { parseUsers, type User } from '../guard/identity/users.ts';
import { DataFile } from './dataFile.ts';

/** `users.json` in the data folder. */
export class UsersFile extends DataFile<User> {
  /** @param folder an existing data folder. */
  constructor(folder: string) {
    super(join(folder, 'users.json'), 'users', parseUsers);
  }
}
