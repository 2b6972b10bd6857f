// The door to layered stores: an array of one schema, or a map of two.
import { LayeredArray, type LayeredOptions } from './layered-array.ts'
import { LayeredMap, type LayeredMapOptions } from './layered-map.ts'
import { isSchema, type Schema } from './schema.ts'

/**
 * Opens a buffer with a layer of updates over it: an array with one schema, a map with two (key and value). Reads go
 * through the updates in memory to the file; `rebuild()` writes a new file and swaps it in for every process that has
 * the old one open. A file that does not exist is empty until the first rebuild.
 * Errors: those of `openArray` and `openMap`.
 */
export function openLayered<K, V>(
  path: string,
  key: Schema<K>,
  value: Schema<V>,
  options?: LayeredMapOptions,
): LayeredMap<K, V>
export function openLayered<T>(path: string, schema: Schema<T>, options?: LayeredOptions): LayeredArray<T>
export function openLayered(
  path: string,
  schema: Schema<unknown>,
  valueOrOptions: Schema<unknown> | LayeredOptions = {},
  options: LayeredMapOptions = {},
): LayeredArray<unknown> | LayeredMap<unknown, unknown> {
  return isSchema(valueOrOptions)
    ? new LayeredMap(path, schema, valueOrOptions, options)
    : new LayeredArray(path, schema, valueOrOptions)
}
