import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface ShortEventLike {
  readonly id: string;
  readonly type: string;
  readonly entity: string;
  readonly [field: string]: unknown;
}

export interface ExpectedState {
  readonly entity: string;
  /** The id of the event after which it holds. */
  readonly after: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** The folder of the dialogues: `MEMPLANE_DIALOGUES`, else `../shared/data` beside the repository. */
export function dialoguesFolder(): string {
  return resolve(process.env['MEMPLANE_DIALOGUES'] ?? join(repository, '..', 'shared', 'data'));
}

/** @throws Error that says what is missing and how to name it. */
export function readDialogues(): { events: ShortEventLike[]; expected: ExpectedState[] } {
  const folder = dialoguesFolder();
  return {
    events: lines<ShortEventLike>(folder, 'dialogues.events.jsonl'),
    expected: lines<ExpectedState>(folder, 'dialogues.expected.jsonl'),
  };
}

function lines<T>(folder: string, name: string): T[] {
  const file = join(folder, name);
  if (!existsSync(file)) {
    throw new Error(
      `The dialogues are missing: there is no ${file}. They are not part of this repository ` +
        '(their licence is CC BY-SA 4.0): put dialogues.events.jsonl and ' +
        'dialogues.expected.jsonl into a folder and name it with MEMPLANE_DIALOGUES.',
    );
  }
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as T);
}
