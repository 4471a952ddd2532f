// Worker entry: bcrypt, which holds its thread for a third of a second each time, where nobody waits for that thread.
import { parentPort } from 'node:worker_threads';
import bcrypt from 'bcryptjs';
import { bcryptCost } from '../guard/identity/password.ts';
import { connect, type HashConnect, type HashThreadFunctions } from './messages.ts';

const functions: HashThreadFunctions = {
  hash: (password) => bcrypt.hashSync(password, bcryptCost),
  compare: (password, hash) => bcrypt.compareSync(password, hash),
};

parentPort?.on('message', ({ port }: HashConnect) => connect(port, functions));
