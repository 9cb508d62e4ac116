import { readdirSync, readFileSync } from 'node:fs';

/**
 * The functions that this code calls. A version that answers or stores differently gets another
 * name, so that instances of both may run side by side; a correction gets a higher revision, which
 * takes the place of a lower one and is never replaced by it.
 */
const LIBRARY = 'memplane_crdt_v6';
export const LIBRARY_REVISION = 1;

export type FunctionName =
  | 'execute'
  | 'read'
  | 'join'
  | 'discard'
  | 'forget'
  | 'fields'
  | 'list'
  | 'set'
  | 'pieces'
  | 'news'
  | 'digested'
  | 'cut'
  | 'state'
  | 'revision';

export function functionName(name: FunctionName): string {
  return `${LIBRARY}_${name}`;
}

/** The source text for FUNCTION LOAD. */
export function librarySource(): string {
  const folder = new URL('./lua/', import.meta.url);
  const parts = readdirSync(folder)
    .filter((file) => file.endsWith('.lua'))
    .sort()
    .map((file) => readFileSync(new URL(file, folder), 'utf8'));
  return `#!lua name=${LIBRARY}\nlocal function build()\n${parts.join('\n')}\nend\n${REGISTRATION}`;
}

/** Lua's own libraries are not there yet while a library is loaded, so it is built at its first call. */
const REGISTRATION = `
local api
local function register(name, flags)
  local function callback(keys, args)
    api = api or build()
    return api[name](keys, args)
  end
  redis.register_function({
    function_name = '${LIBRARY}_' .. name,
    callback = callback,
    flags = flags,
  })
end
register('execute', {})
register('join', {})
register('discard', {})
register('forget', {})
register('digested', {})
register('cut', {})
register('read', { 'no-writes' })
register('fields', { 'no-writes' })
register('list', { 'no-writes' })
register('set', { 'no-writes' })
register('pieces', { 'no-writes' })
register('news', { 'no-writes' })
register('state', { 'no-writes' })
redis.register_function({
  function_name = '${LIBRARY}_revision',
  callback = function() return ${LIBRARY_REVISION} end,
  flags = { 'no-writes' },
})
`;
