/**
 * Loaded before anything else (`node --import`), in every process and thread of a test: changes a
 * piece of one source file as it is loaded, so that the real code has a bug and no file is touched.
 */
import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

const { PLANT_FILE, PLANT_FROM, PLANT_TO, PLANT_MARK } = process.env;
const file = PLANT_FILE ?? '';
const right = PLANT_FROM ?? '';

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (file === '' || !url.endsWith(`/${file}`)) return loaded;
    const source = String(loaded.source);
    const isThere = source.split(right).length === 2;
    appendFileSync(PLANT_MARK ?? '', isThere ? 'planted\n' : 'not there\n');
    return { ...loaded, source: source.replace(right, () => PLANT_TO ?? '') };
  },
});
