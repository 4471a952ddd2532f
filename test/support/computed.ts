/**
 * Milliseconds for which this thread has computed so far, whatever else the computer did meanwhile. Some operating systems
 * count in ticks of some milliseconds.
 */
export function computed(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
