/** Prints what the first bcrypt compare of a fresh process costs, as in a guard that has just started. */
import bcrypt from 'bcryptjs';

const [cost = '12'] = process.argv.slice(2);
// A hash of the right form is enough: a compare does all the work before it can say no.
const hash = `$2b$${cost.padStart(2, '0')}$${'.'.repeat(53)}`;
const cpu = process.cpuUsage();
const started = performance.now();
bcrypt.compareSync('a password of usual length', hash);
const took = performance.now() - started;
const { user, system } = process.cpuUsage(cpu);
process.stdout.write(JSON.stringify({ took, cpu: (user + system) / 1000 }));
