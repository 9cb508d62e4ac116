import { isJsonObject, type Json } from './event.ts';

type JsonObject = { [key: string]: Json };

/**
 * JSON Merge Patch, RFC 7396: in an object patch `null` removes a member, an object is merged into
 * the member, anything else replaces it; a patch that is no object replaces the whole target.
 *
 * Changes neither argument. The result shares every part that the patch leaves as it was, and is
 * the target itself when nothing changes. `__proto__` is a member like any other.
 */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isJsonObject(patch)) return patch;
  const base = isJsonObject(target) ? target : undefined;
  let result: JsonObject | undefined = base === undefined ? {} : undefined;
  for (const key of Object.keys(patch)) {
    const change = patch[key] as Json;
    const source: JsonObject | undefined = result ?? base;
    const present = source !== undefined && Object.hasOwn(source, key);
    if (change === null) {
      if (!present) continue;
      result ??= { ...base };
      delete result[key];
      continue;
    }
    const before = present ? source[key] : undefined;
    const after = mergePatch(before, change);
    if (present && after === before) continue;
    result ??= { ...base };
    setMember(result, key, after);
  }
  return result ?? (base as Json);
}

/** Plain assignment to `__proto__` would set the prototype instead. */
function setMember(object: JsonObject, key: string, value: Json): void {
  if (key !== '__proto__') {
    object[key] = value;
    return;
  }
  const member = { value, writable: true, enumerable: true, configurable: true };
  Object.defineProperty(object, key, member);
}
