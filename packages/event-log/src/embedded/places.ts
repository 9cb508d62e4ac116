import path from 'node:path';

/** Where the parts of an embedded log lie in its folder. */
export function manifestFile(dir: string): string {
  return path.join(dir, 'manifest.json');
}

export function markFile(dir: string): string {
  return path.join(dir, 'mark');
}

export function journalDir(dir: string): string {
  return path.join(dir, 'journal');
}

export function indexDir(dir: string): string {
  return path.join(dir, 'index');
}

const SEGMENT_NAME = /^(\d{10})\.segment$/;

export function segmentFile(dir: string, segment: number): string {
  return `${journalDir(dir)}${path.sep}${String(segment).padStart(10, '0')}.segment`;
}

/** The number in a segment's file name; undefined for other files. */
export function segmentOfName(name: string): number | undefined {
  const match = SEGMENT_NAME.exec(name);
  return match ? Number(match[1]) : undefined;
}

const CHUNK_NAME = /^p(\d{4})-(\d{8})\.index$/;

export function chunkFile(dir: string, partition: number, chunk: number): string {
  const name = `p${String(partition).padStart(4, '0')}-${String(chunk).padStart(8, '0')}.index`;
  return `${indexDir(dir)}${path.sep}${name}`;
}

export function chunkOfName(name: string): { partition: number; chunk: number } | undefined {
  const match = CHUNK_NAME.exec(name);
  return match ? { partition: Number(match[1]), chunk: Number(match[2]) } : undefined;
}
