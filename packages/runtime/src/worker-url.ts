/**
 * Where the entry file `<name>-worker` of a thread is: as source beside the file that asks, as a
 * bundle at the top of its folder.
 * @param asking the `import.meta.url` of the file that starts the thread
 */
export function workerUrl(asking: string, name: string): URL {
  if (asking.endsWith('.ts')) return new URL(`./${name}-worker.ts`, asking);
  const isChunk = asking.includes('/chunks/');
  return new URL(`${isChunk ? '../' : './'}${name}-worker.js`, asking);
}
