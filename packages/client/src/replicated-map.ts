import type { Core } from './core.ts';
import { type CrdtReadOptions, type CrdtWriteOptions, Replicated } from './crdts.ts';
import type { Json } from './types.ts';

/** Names from the outermost map to a field; all but the last are of maps within. */
export type MapPath = readonly string[];

/** A field with what it holds. A name under which several types were used comes with each. */
export type ReplicatedMapField =
  | { readonly type: 'counter'; readonly path: MapPath; readonly value: number }
  | { readonly type: 'set'; readonly path: MapPath; readonly elements: readonly string[] }
  | {
      readonly type: 'register';
      readonly path: MapPath;
      readonly value: Json;
      readonly hlc: string;
      readonly replica: string;
    };

/** A map of counters, sets, registers and further maps; an update wins over a concurrent removal. */
export class ReplicatedMap extends Replicated {
  constructor(core: Core, name: string) {
    super(core, 'maps', name);
  }

  /**
   * @returns the new value. Unlike a counter by itself it has no operation ids: what failed without
   * an answer may have been counted, so it is not sent again.
   */
  async increment(path: MapPath, by = 1, options: CrdtWriteOptions = {}): Promise<number> {
    const body = { path, by };
    const answer = await this.write('POST', options, { path: '/increments', body });
    return (answer as { value: number }).value;
  }

  async add(path: MapPath, element: string, options: CrdtWriteOptions = {}): Promise<void> {
    await this.write('POST', options, { path: '/adds', body: { path, element } });
  }

  async remove(path: MapPath, element: string, options: CrdtWriteOptions = {}): Promise<void> {
    await this.write('POST', options, { path: '/removes', body: { path, element } });
  }

  async set(path: MapPath, value: Json, options: CrdtWriteOptions = {}): Promise<void> {
    await this.write('POST', options, { path: '/writes', body: { path, value } });
  }

  /** Removes a field with all that is in it; what was changed concurrently survives. */
  async removeField(
    path: MapPath,
    type: 'counter' | 'set' | 'register' | 'map',
    options: CrdtWriteOptions = {},
  ): Promise<void> {
    await this.write('POST', options, { path: '/removals', body: { path, type } });
  }

  /** All fields, those of maps within too; none for a map that nobody has written to. */
  async fields(options: CrdtReadOptions = {}): Promise<ReplicatedMapField[]> {
    return ((await this.read(options)) as { fields: ReplicatedMapField[] }).fields;
  }
}
