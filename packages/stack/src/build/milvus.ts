import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { built, type Recipe } from './cache.ts';
import { runBuild } from './command.ts';

export const MILVUS_VERSION = '2.3.5';
const folderOf = (file: string) => fileURLToPath(new URL(`../../milvus/${file}`, import.meta.url));
const requirements = folderOf('requirements.txt');
const unpack = folderOf('unpack.py');
const WHEEL = 'milvus-*.whl';
const SCRIPT = `set -e
python3 -m pip download --quiet --no-deps --only-binary :all: --require-hashes \\
  --requirement "$1" --dest wheel
python3 "$2" wheel/${WHEEL} .
rm -r wheel`;

export function milvusRecipe(): Recipe {
  return {
    part: 'milvus',
    version: MILVUS_VERSION,
    says: 'fetching and unpacking the server (58 MB, under a minute, only once)',
    inputs: [readFileSync(requirements, 'utf8'), readFileSync(unpack, 'utf8'), SCRIPT],
    build: (folder) =>
      runBuild({
        part: 'milvus',
        command: 'sh',
        args: ['-c', SCRIPT, 'sh', requirements, unpack],
        cwd: folder,
      }),
  };
}

/** The folder of the server, its libraries and the template of its settings. */
export async function milvusFolder(): Promise<string> {
  return (await built(milvusRecipe())).folder;
}
