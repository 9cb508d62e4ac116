import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

/** A folder as one file that the repository can hold: names and bytes, compressed. */
export function packFolder(folder: string, except: ReadonlySet<string> = new Set()): Buffer {
  const files: Record<string, string> = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || except.has(entry.name)) continue;
    const file = path.join(entry.parentPath, entry.name);
    files[path.relative(folder, file)] = readFileSync(file).toString('base64');
  }
  return gzipSync(JSON.stringify(files), { level: 9 });
}

export function unpackFolder(packed: Uint8Array, folder: string): string[] {
  const files = JSON.parse(gunzipSync(packed).toString()) as Record<string, string>;
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, Buffer.from(text, 'base64'));
  }
  return Object.keys(files);
}
